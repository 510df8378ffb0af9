//! The harness of the end-to-end tests: the stage that they play on, and the repository's own files as they read them.
//! The tests are in `tests/`.

pub mod jvm;
pub mod repository;
pub mod stage;
