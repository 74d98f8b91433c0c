//! The controller's own certificate authority, separate from the page's certificate.
