//! REST, SSE and the static page, for people and scripts.
