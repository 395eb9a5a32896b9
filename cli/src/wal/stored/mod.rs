//! Stored bodies for commands that read whole logs: which of them are wanted, what became of each, and the units that several
//! threads read. It reads as the tail reader does, beside a serving gateway or without one, and changes nothing.

pub(crate) mod disposed;
pub(crate) mod pairs;
pub(crate) mod reading;
pub(crate) mod select;
