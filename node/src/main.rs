//! Master election: entry point.
fn main() {}
