//! Tests of the keeper from outside: real flows on a disk in memory, with stand-ins for the shards. The first four modules are
//! what the others stand on.

mod disk;
mod shard;
mod transcript;
pub(super) mod world;

mod clean_stop;
mod clock;
mod copies;
mod deleted_beginning;
mod epochs;
mod evidence;
mod faults;
mod formats;
mod from_slices;
mod full_disk;
mod given_up;
mod hold_limits;
mod holds;
mod horizon;
mod labels;
mod lengths;
mod manifest;
mod merges;
mod offline;
mod old_manifests;
mod over_memory;
mod params;
mod quarantine;
mod quarantine_trouble;
mod repack;
mod repack_trouble;
mod retain;
mod room;
mod seal_in_merge;
mod serving;
mod slice_memory;
mod slices;
mod starts;
mod stop;
mod transcripts;
mod transcripts_of_trouble;
mod transcripts_to_the_second;
