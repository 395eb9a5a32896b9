//! The log: names, memory, and the bytes on disk. Pure functions over bytes; files belong to the keeper, writes to the
//! shard's driver.

pub mod buffer;
pub mod epoch;
pub mod name;

pub mod checksum;

pub mod record;

pub mod batch;

pub(crate) mod lost_header;
pub mod segment;

pub mod manifest;

pub mod files;
pub mod secret;

pub mod watermark;
pub mod writer;

pub mod scan;

pub mod packed;

pub mod tail;

pub mod copy;

mod anything;
pub use anything::read_anything;
pub use epoch::Epoch;
