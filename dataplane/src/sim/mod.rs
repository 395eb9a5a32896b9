//! The simulated world: one thread runs all shards, the keeper, clients, the disk and the network from one seed, with a
//! virtual clock, and an oracle judges what comes out. The shards and the keeper are those of production; nothing here is
//! reached by them but through their events and operations.

pub mod clocks;
pub mod plan;
pub mod queue;
pub mod world;

pub mod answers;
pub mod batches;
pub mod clients;
pub mod disk;
pub mod ends;
pub mod evidence;
pub mod files;
pub mod holders;
pub mod keeper_files;
pub mod keeper_host;
pub mod looks;
pub mod memory;
mod merges;
pub mod network;
pub mod operator;
pub mod process;
pub mod shard_files;
mod snapshots;

pub mod audit;
pub mod bodies;
pub mod damage;
pub mod ledgers;
pub mod logbook;
pub mod losses;
pub mod oracle;
pub mod records;
mod resumed;
pub mod slice_damage;
pub mod truth;

pub mod count;
pub mod dice;
pub mod runner;
pub mod trace;
