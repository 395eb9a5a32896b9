//! The `flk` command line.

fn main() {}
