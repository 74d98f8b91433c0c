//! Answers transport's questions from the store and the CA.
