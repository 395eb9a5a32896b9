//! The log against directories that an independent program wrote: everything in them is found, every variant gets the
//! verdict that it must get, and our encoder writes the same bytes. The expectations are in `golden/vectors/wal.json`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)] // helpers of tests may unwrap as tests do

mod encoding;
mod logs;
mod manifests;
mod shown;
mod slice;
mod slices;
mod start;
mod vectors;
