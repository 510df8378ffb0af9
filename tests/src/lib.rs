//! End-to-end tests: deploy, break, look. All of them are in `tests/`.
