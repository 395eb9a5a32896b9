//! What a shard traced last, in its part of the page: a ring of traces, and the newest trace of each bucket of the latency.
//! The shard's thread writes it without waiting for any reader; a reader sees when what it read was overwritten meanwhile.

use super::cell::{BUCKETS_MAX, Edges};
use super::shard::Latency;
use super::trace::{Found, Moment, Trace};
use super::versioned::Versioned;
use std::sync::atomic::{AtomicU64, Ordering};

/// Traces that the ring of a shard holds.
pub const TRACES_KEPT: usize = 256;
/// Words of a trace as it lies in the ring.
const WORDS: usize = Moment::COUNT + 11;

/// The newest trace of a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// Its trace.
    pub trace_id: [u8; 16],
    /// The value that was counted, in microseconds.
    pub value_us: u64,
    /// When, in microseconds since 1970.
    pub wall_us: u64,
}

/// See the module.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Traces {
    /// How many traces were ever written.
    written: AtomicU64,
    /// By the bucket of the latency.
    exemplars: [Versioned<4>; BUCKETS_MAX],
    ring: [Versioned<WORDS>; TRACES_KEPT],
}

impl Default for Traces {
    fn default() -> Traces {
        Traces {
            written: AtomicU64::new(0),
            exemplars: std::array::from_fn(|_| Versioned::default()),
            ring: std::array::from_fn(|_| Versioned::default()),
        }
    }
}

/// What a reader found in a ring.
#[derive(Debug, Default, PartialEq)]
pub struct Taken {
    /// Whole traces, the oldest first, each with the nanoseconds since 1970 at which the monotonic clock was 0.
    pub traces: Vec<(Trace, u64)>,
    /// Traces that were overwritten before they were read.
    pub lost: u64,
}

impl Traces {
    /// Adds a trace; only the shard's thread calls this. `epoch_ns`: nanoseconds since 1970 at which the monotonic clock was 0.
    pub fn push(&self, trace: &Trace, epoch_ns: u64) {
        let number = self.written.load(Ordering::Relaxed);
        let slot = &self.ring[number as usize % TRACES_KEPT];
        slot.write(version_of(number), &encode(trace, epoch_ns));
        self.written.store(number + 1, Ordering::Release);
    }

    /// Notes the trace of a latency that was counted; only the shard's thread calls this.
    pub fn note(&self, exemplar: &Exemplar) {
        let value_s = exemplar.value_us as f64 / 1e6;
        let edges = Latency::EDGES;
        let bucket = edges.iter().position(|&edge| value_s <= edge);
        let place = &self.exemplars[bucket.unwrap_or(edges.len())];
        let version = place.version() + 2;
        let [high, low] = halves(&exemplar.trace_id);
        place.write(version, &[high, low, exemplar.value_us, exemplar.wall_us]);
    }

    /// The newest trace of a bucket of the latency.
    pub fn exemplar(&self, bucket: usize) -> Option<Exemplar> {
        let (_, [high, low, value_us, wall_us]) = self.exemplars.get(bucket)?.read()?;
        Some(Exemplar {
            trace_id: whole(high, low),
            value_us,
            wall_us,
        })
    }

    /// Takes what was written since `position`, and moves it.
    pub fn take(&self, position: &mut u64) -> Taken {
        let written = self.written.load(Ordering::Acquire);
        let oldest = written.saturating_sub(TRACES_KEPT as u64);
        let mut taken = Taken {
            lost: oldest.saturating_sub(*position),
            ..Taken::default()
        };
        for number in oldest.max(*position)..written {
            match self.ring[number as usize % TRACES_KEPT].read() {
                Some((version, words)) if version == version_of(number) => {
                    taken.traces.push(decode(&words));
                }
                // The writer has come around.
                _ => taken.lost += 1,
            }
        }
        *position = written;
        taken
    }
}

/// The version of the slot that holds the trace of this number.
fn version_of(number: u64) -> u64 {
    2 * (number + 1)
}

fn halves(id: &[u8; 16]) -> [u64; 2] {
    let number = u128::from_be_bytes(*id);
    [(number >> 64) as u64, number as u64]
}

fn whole(high: u64, low: u64) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

fn encode(trace: &Trace, epoch_ns: u64) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    let (moments, rest) = words.split_at_mut(Moment::COUNT);
    moments.copy_from_slice(&trace.moments);
    let [high, low] = halves(&trace.trace_id);
    let id = trace.pcs_id.unwrap_or_default();
    let (id_words, _) = id.as_chunks::<8>();
    let has_id = u64::from(trace.pcs_id.is_some());
    rest.copy_from_slice(&[
        epoch_ns,
        high,
        low,
        trace.parent_id,
        trace.span_id,
        u64::from(trace.status)
            | (trace.found as u64) << 16
            | u64::from(trace.reason) << 24
            | u64::from(trace.shard) << 32
            | u64::from(trace.owner) << 48,
        // A batch has fewer than 2^15 records and a process fewer than 2^16 tenants' rows.
        u64::from(trace.snapshot)
            | u64::from(trace.batch_records.min(0x7fff)) << 32
            | has_id << 47
            | u64::from(trace.tenant_row) << 48,
        u64::from_be_bytes(id_words[0]),
        u64::from_be_bytes(id_words[1]),
        u64::from_be_bytes(id_words[2]),
        u64::from_be_bytes(id_words[3]),
    ]);
    words
}

fn decode(words: &[u64; WORDS]) -> (Trace, u64) {
    let (moments, rest) = words.split_at(Moment::COUNT);
    let mut id = [0; 32];
    for (bytes, word) in id.as_chunks_mut::<8>().0.iter_mut().zip(&rest[7..]) {
        *bytes = word.to_be_bytes();
    }
    let (ended, numbers) = (rest[5], rest[6]);
    let trace = Trace {
        trace_id: whole(rest[1], rest[2]),
        parent_id: rest[3],
        span_id: rest[4],
        moments: std::array::from_fn(|at| moments[at]),
        status: ended as u16,
        found: Found::numbered((ended >> 16) as u8),
        reason: (ended >> 24) as u8,
        shard: (ended >> 32) as u16,
        owner: (ended >> 48) as u16,
        snapshot: numbers as u32,
        batch_records: (numbers >> 32) as u32 & 0x7fff,
        tenant_row: (numbers >> 48) as u16,
        pcs_id: (numbers >> 47 & 1 == 1).then_some(id),
    };
    (trace, rest[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trace(number: u64) -> Trace {
        Trace {
            span_id: number,
            moments: [number; Moment::COUNT],
            ..Trace::default()
        }
    }

    fn numbers(taken: &Taken) -> Vec<u64> {
        taken.traces.iter().map(|(it, _)| it.span_id).collect()
    }

    #[test]
    fn each_trace_is_taken_once_and_overwritten_ones_are_counted() {
        let traces = Box::<Traces>::default();
        let mut position = 0;
        assert_eq!(traces.take(&mut position), Taken::default());
        for number in 0..3 {
            traces.push(&trace(number), 5);
        }
        let taken = traces.take(&mut position);
        assert_eq!((numbers(&taken), taken.lost), (vec![0, 1, 2], 0));
        assert_eq!(traces.take(&mut position), Taken::default());
        let kept = TRACES_KEPT as u64;
        for number in 3..kept + 10 {
            traces.push(&trace(number), 5);
        }
        let taken = traces.take(&mut position);
        assert_eq!(taken.lost, 7);
        assert_eq!(numbers(&taken), (10..kept + 10).collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_beside_the_writer_sees_whole_traces_in_order_and_counts_the_others() {
        const COUNT: u64 = 200_000;
        let traces = Box::<Traces>::default();
        let (mut seen, mut lost, mut last) = (0, 0, None);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..COUNT).for_each(|number| traces.push(&trace(number), number)));
            let mut position = 0;
            while position < COUNT {
                let taken = traces.take(&mut position);
                lost += taken.lost;
                for (found, epoch_ns) in &taken.traces {
                    assert_eq!(*found, trace(*epoch_ns), "no trace is mixed with another");
                    assert!(last < Some(*epoch_ns));
                    last = Some(*epoch_ns);
                    seen += 1;
                }
            }
        });
        assert_eq!(seen + lost, COUNT);
    }

    #[test]
    fn the_newest_trace_of_each_bucket_is_its_exemplar() {
        let traces = Box::<Traces>::default();
        let exemplar = |value_us, id| Exemplar {
            trace_id: [id; 16],
            value_us,
            wall_us: 1_700_000_000_000_000 + value_us,
        };
        assert_eq!(traces.exemplar(0), None);
        for (value_us, id) in [(100, 1), (101, 2), (90, 3), (9_000_000, 4)] {
            traces.note(&exemplar(value_us, id));
        }
        assert_eq!(traces.exemplar(0), Some(exemplar(90, 3)));
        assert_eq!(traces.exemplar(1), Some(exemplar(101, 2)));
        assert_eq!(
            traces.exemplar(Latency::EDGES.len()),
            Some(exemplar(9_000_000, 4))
        );
        assert_eq!(traces.exemplar(BUCKETS_MAX), None);
    }

    proptest! {
        #[test]
        fn a_trace_comes_back_as_it_was_written(
            (trace_id, parent_id, span_id) in any::<([u8; 16], u64, u64)>(),
            moments in any::<[u64; Moment::COUNT]>(),
            (status, found, reason) in (any::<u16>(), 0_u8..4, any::<u8>()),
            (shard, owner, tenant_row) in any::<(u16, u16, u16)>(),
            (snapshot, batch_records) in (any::<u32>(), 0_u32..0x8000),
            pcs_id in any::<Option<[u8; 32]>>(),
            epoch_ns in any::<u64>(),
        ) {
            let found = Found::numbered(found);
            let written = Trace {
                trace_id, parent_id, span_id, moments, status, found, reason, shard, owner,
                tenant_row, snapshot, batch_records, pcs_id,
            };
            prop_assert_eq!(decode(&encode(&written, epoch_ns)), (written, epoch_ns));
        }
    }
}
