//! Processes of their own for calls that may never return.
