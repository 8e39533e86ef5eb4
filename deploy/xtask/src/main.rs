//! Set-up, quickstart, lint and tests: cargo xtask COMMAND.
fn main() {}
