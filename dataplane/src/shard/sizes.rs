//! What a shard reserves at start, from its limits and the sizes of what it has tables of.

use super::budget::WAITER_BYTES;
use super::config::{BATCH_BLOCKS_BYTES, FLIGHTS_MAX, ShardLimits};
use super::connection::Connection;
use super::flights::{DISPOSITIONS_MAX, Flight};
use super::lists::LINK_BYTES;
use super::looks::{Look, Looking};
use super::traced::TRACES_BYTES;
use super::waiters::Waiter;
use crate::dedup::claims::LookAnswer;
use crate::dedup::{Decided, PARTITIONS};
use crate::event::{Event, Op};
use crate::mesh::Message;
use crate::mesh::ring_messages;
use crate::wal::batch::{BATCH_RECORDS_MAX, BODY_BYTES_MAX, INDEX_PART_BYTES_MAX};

impl ShardLimits {
    /// What one of `shards` shards and its driver reserve at start, in bytes, the empty dedup table included. Address space
    /// rather than resident memory: most of it is touched only under load. At most 64 MiB for up to eight shards; beyond,
    /// the rings to the peers grow past it.
    /// `receive_bytes`: receive buffers of the driver, shared by all connections.
    pub fn memory_at_start_bytes(&self, shards: u16, receive_bytes: usize) -> usize {
        let connections = self.connections_table() as usize;
        let flights = self.flights_max as usize;
        let looks = self.looks_max as usize;
        let peers = usize::from(shards.max(1)) - 1;
        // What a turn collects and sends.
        let turn = 2 * (1 << 20) + 1024 * (size_of::<Event>() + size_of::<Op>());
        // The open batch — index part and the larger of a batch of bodies and one body — and the batch in flight.
        let log = INDEX_PART_BYTES_MAX + BODY_BYTES_MAX + BATCH_BLOCKS_BYTES;
        // A slot per connection here and one in the driver, which is smaller; queues that name each connection once, its
        // place in the order of those that are given up, and in the queues for room, for a share of it and for memory.
        let connection = 2 * size_of::<Connection>()
            + 9 * size_of::<u32>()
            + 3 * size_of::<Waiter>()
            + LINK_BYTES
            + 2 * WAITER_BYTES;
        // A slot per request in flight, its deadline, and its place in the queues of what waits for the log.
        let flight = size_of::<Flight>() + 176;
        // A slot per look-up, its deadline, and its places among those that were framed and those that are answered.
        let look = size_of::<Look>() + size_of::<Looking>() + size_of::<LookAnswer>() + 64;
        // Claims and look-ups of all shards may queue at this owner: the claim, its key's pending entry twice, the buckets.
        let claim = 3 * size_of::<Decided>() + 64;
        // Both directions with each peer; this shard owns half of the rings that it has an end of.
        let rings = peers * (ring_messages(flights, looks) * size_of::<Message>());
        // Records that are traced are few, however many there are.
        let traces = TRACES_BYTES;
        // Each of this shard's partitions begins with one small page.
        let tables = usize::from(PARTITIONS / shards.max(1)) * 4096;
        receive_bytes
            + turn
            + log
            + connections * connection
            + flights * flight
            + looks * look
            + (flights + looks) * usize::from(shards) * claim
            + rings
            + traces
            + tables
    }
}

const _: () = assert!(
    DISPOSITIONS_MAX * FLIGHTS_MAX as usize <= BATCH_RECORDS_MAX as usize,
    "an open batch has room for all that requests in flight may say"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_reserves_at_most_64_mib_at_start() {
        for shards in [1, 2, 4, 8] {
            let bytes = ShardLimits::default().memory_at_start_bytes(
                shards,
                crate::driver::DriverLimits::default().receive_bytes(),
            );
            assert!(bytes <= 64 << 20, "{shards} shards: {bytes} bytes each");
        }
    }

    #[test]
    fn what_a_shard_reserves_is_the_sum_of_its_parts() {
        let of = |connections: u32, flights_max: u32, shards: u16, receive_bytes: usize| {
            let limits = ShardLimits {
                connections_max: connections,
                connections_spare: 0,
                flights_max,
                ..ShardLimits::default()
            };
            limits.memory_at_start_bytes(shards, receive_bytes)
        };
        let turn_bytes = (2 << 20) + 1024 * (size_of::<Event>() + size_of::<Op>());
        let log_bytes = INDEX_PART_BYTES_MAX + BODY_BYTES_MAX + (512 << 10);
        let alone = of(0, 0, 1, 0);
        assert_eq!(
            alone,
            turn_bytes + log_bytes + TRACES_BYTES + (4 << 20),
            "tables of 1,024 pages"
        );
        assert_eq!(of(0, 0, 1, 5), alone + 5);
        let rings = 3 * ring_messages(0, 0) * size_of::<Message>();
        assert_eq!(
            of(0, 0, 4, 0),
            alone - (3 << 20) + rings,
            "a quarter of the tables, and rings with room for what belongs to no request"
        );
        let per_connection = of(1, 0, 1, 0) - alone;
        assert_eq!(of(7, 0, 1, 0), alone + 7 * per_connection);
        let slots = 2 * size_of::<Connection>();
        assert!((slots + 36..slots + 36 + 256).contains(&per_connection));
        let per_flight = of(0, 1, 1, 0) - alone;
        assert_eq!(of(0, 7, 1, 0), alone + 7 * per_flight);
        let slot = size_of::<Flight>() + 3 * size_of::<Decided>();
        assert!((slot + 176..slot + 256).contains(&per_flight));
        // With a second shard: its claims, and the rings.
        let with_peer = of(0, 7, 2, 0) - of(0, 0, 2, 0);
        let claims = with_peer - 7 * per_flight - 7 * 6 * size_of::<Message>();
        assert_eq!(claims, 7 * (3 * size_of::<Decided>() + 64));
    }
}
