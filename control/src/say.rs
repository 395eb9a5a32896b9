//! Lines for the operator on standard error. A full or closed standard error never stops control; no line holds a secret,
//! for nothing that control reads of a key reaches this module.

use std::fmt::Display;
use std::io::Write;

/// Prints a line.
pub fn say(line: impl Display) {
    // If that fails, metrics and status still tell.
    let _ = writeln!(std::io::stderr(), "flk-control: {line}");
}
