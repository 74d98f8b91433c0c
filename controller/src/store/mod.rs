//! All SQL, one noun a file.
