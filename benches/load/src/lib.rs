//! The load generator: signed records made up front, one thread that keeps N connections busy, and what it measured.
//! It is written apart from the gateway and signs by its own few lines, so that both would have to be wrong alike.
//! It never reuses a record: each request of a run carries an id of its own.

// In the order in which a request meets them.
pub mod cpu;
pub mod stock;

pub mod client;
pub mod message;
pub mod paced;

pub mod measured;

pub use client::Load;
pub use measured::Measured;
pub use stock::{Identity, Stock};
