//! The load generator: what `flk bench` runs, and the closed loop of the benches of this repository. A run sends signed records over
//! N connections, when they are due or when the last one is answered, and counts what came back. It judges answers by the record
//! contract alone, is written apart from the gateway, and never sends a record twice but to see it answered as a duplicate.

// What is sent, and when.
pub mod arrivals;
pub mod claims;
pub mod mix;
pub mod record;
pub mod stock;
pub mod supply;
pub mod travel;

// What came back.
pub mod answer;
pub mod expected;
pub mod lines;
pub mod message;
pub mod tally;

pub mod hdr;
pub mod limit;

// A run of `flk bench`, from one connection to all threads.
pub mod cpu;
mod wire;

mod sender;
mod setup;

pub mod run;

// The closed loops of the other benches, of records and of batches, and several rates in one thread.
pub mod batches;
pub mod client;
pub mod measured;
pub mod paced;

pub use client::Load;
pub use measured::Measured;
pub use stock::{Identity, Stock};
