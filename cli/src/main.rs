//! The command line: run, validate, schema, checkpoint.
fn main() {}
