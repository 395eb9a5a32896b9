//! Counts and digests of decisions by partition and hour: whether two nodes, or two sets of slices, hold the same decisions can
//! be seen without reading them. A digest is a sum, so it does not matter how decisions are spread over slices.

use crate::dedup::{Decided, PARTITIONS};
use crate::wal::checksum::{Reader, put};
use flk_contract::params::ParamsVersion;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::collections::BTreeMap;
use std::hash::Hasher;

/// Bytes of a row.
pub const DIGEST_BYTES: usize = 32;

/// Rows of a slice at most: 32 MiB. Merges span a tenth of the TTL, so that a TTL of more than a year is needed to come near.
/// A slice that would need more has no digests.
pub const DIGESTS_MAX: usize = 1 << 20;

/// The key of the hash: published, for a digest proves nothing to others. It is only to be the same everywhere.
pub const DIGEST_KEY: [u8; 16] = *b"flk slice digest";

/// The class of tenants that this version knows.
const CLASS: u8 = 0;

const HOUR_S: u32 = 3_600;

/// The decisions of a partition that were made within one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestRow {
    /// The partition.
    pub partition: u16,
    /// Class of the tenants. 0 in this version.
    pub class: u8,
    /// Hour of decided-at: that many times 3,600 s on the expiry clock.
    pub hour: u32,
    /// How many there are.
    pub sum: DigestSum,
}

/// How many decisions there are, and the sum of their digests modulo 2^128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestSum {
    /// Number of decisions.
    pub count: u64,
    /// Sum of their digests.
    pub digest: u128,
}

impl DigestSum {
    /// With other decisions.
    pub fn plus(self, other: DigestSum) -> DigestSum {
        DigestSum {
            count: self.count + other.count,
            digest: self.digest.wrapping_add(other.digest),
        }
    }
}

/// The digest of a decision: SipHash-2-4-128 under [`DIGEST_KEY`] of key, digest tag, outcome, decided-at and origin. The outcome
/// is what its text is made of but for the id: encoding, reason, regime, the four numbers, length and name of the params version.
pub fn digest_of(decided: &Decided, params: ParamsVersion) -> u128 {
    let mut hasher = SipHasher24::new_with_key(&DIGEST_KEY);
    hasher.write(&decided.key.to_bytes());
    hasher.write(&decided.digest_tag.to_le_bytes());
    hasher.write(&[decided.encoding, decided.reason, decided.regime]);
    for number in decided.numbers {
        hasher.write(&number.to_bits().to_le_bytes());
    }
    let name = params.as_str();
    hasher.write(&[name.len() as u8]);
    hasher.write(name.as_bytes());
    hasher.write(&decided.decided_at.to_le_bytes());
    hasher.write(&[decided.origin]);
    u128::from_le_bytes(hasher.finish128().as_bytes())
}

/// The digests of entries that come partition by partition. Memory is bounded by the hours that they span.
#[derive(Debug)]
pub(super) struct Digests {
    rows: Vec<DigestRow>,
    rows_max: usize,
    partition: u16,
    hours: BTreeMap<u32, DigestSum>,
    too_many: bool,
}

impl Digests {
    /// None yet, of a slice that may have so many rows.
    pub(super) fn new(rows_max: usize) -> Digests {
        Digests {
            rows: Vec::new(),
            rows_max,
            partition: 0,
            hours: BTreeMap::new(),
            too_many: false,
        }
    }

    /// Adds the next entry. Partitions ascend.
    pub(super) fn add(&mut self, decided: &Decided, params: ParamsVersion) {
        let partition = decided.key.partition();
        if partition != self.partition {
            self.end_partition();
            self.partition = partition;
        }
        let sum = self.hours.entry(decided.decided_at / HOUR_S).or_default();
        *sum = sum.plus(DigestSum {
            count: 1,
            digest: digest_of(decided, params),
        });
    }

    fn end_partition(&mut self) {
        let partition = self.partition;
        let hours = std::mem::take(&mut self.hours);
        self.too_many |= self.rows.len() + hours.len() > self.rows_max;
        if self.too_many {
            self.rows = Vec::new();
            return;
        }
        self.rows
            .extend(hours.into_iter().map(|(hour, sum)| DigestRow {
                partition,
                class: CLASS,
                hour,
                sum,
            }));
    }

    /// The rows; none if they are too many.
    pub(super) fn finish(&mut self) -> Option<Vec<DigestRow>> {
        self.end_partition();
        (!self.too_many).then(|| std::mem::take(&mut self.rows))
    }
}

/// The bytes of the section.
pub(super) fn encode(rows: &[DigestRow]) -> Vec<u8> {
    let mut bytes = vec![0; rows.len() * DIGEST_BYTES];
    for (row, out) in rows.iter().zip(bytes.chunks_exact_mut(DIGEST_BYTES)) {
        put(out, 0, &row.partition.to_le_bytes());
        put(out, 2, &[row.class]);
        put(out, 4, &row.hour.to_le_bytes());
        put(out, 8, &row.sum.count.to_le_bytes());
        put(out, 16, &row.sum.digest.to_le_bytes());
    }
    bytes
}

/// Reads the section back; nothing if it is not one.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<DigestRow>> {
    let (rows, rest) = bytes.as_chunks::<DIGEST_BYTES>();
    let rows: Option<Vec<DigestRow>> = rows.iter().map(decode_row).collect();
    let rows = rows.filter(|_| rest.is_empty())?;
    let place = |row: &DigestRow| (row.partition, row.class, row.hour);
    let sane = rows
        .iter()
        .all(|row| row.partition < PARTITIONS && row.sum.count > 0)
        && rows.is_sorted_by(|a, b| place(a) < place(b));
    sane.then_some(rows)
}

fn decode_row(bytes: &[u8; DIGEST_BYTES]) -> Option<DigestRow> {
    let mut reader = Reader::new(bytes);
    let partition = reader.u16()?;
    let class = reader.u8()?;
    reader.u8()?;
    Some(DigestRow {
        partition,
        class,
        hour: reader.u32()?,
        sum: DigestSum {
            count: reader.u64()?,
            digest: u128::from_le_bytes(reader.array()?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::key::KeyHash;
    use crate::dedup::slice::{SliceMeta, SliceWriter, verify_whole};
    use proptest::prelude::*;

    fn entry(number: u32) -> Decided {
        Decided {
            key: KeyHash::new([9; 16]).key("default", &number.to_string()),
            digest_tag: u64::from(number),
            numbers: [1.5, 1.25, 0.4, f64::from(number)],
            decided_at: number * 977 % 40_000,
            expiry: 100_000,
            regime: 1,
            encoding: 1,
            ..Decided::default()
        }
    }

    /// The digests that a slice of these entries states.
    fn rows_of(mut entries: Vec<Decided>) -> Vec<DigestRow> {
        entries.sort_by_key(|entry| entry.key);
        let mut writer = SliceWriter::new(SliceMeta::default(), &[ParamsVersion::ONE]);
        let mut bytes = Vec::new();
        for entry in &entries {
            writer.push(entry).unwrap();
            bytes.extend(writer.take_ready());
        }
        bytes.extend(writer.finish(&[]).unwrap().bytes);
        let (reader, _) = verify_whole(&bytes, |_| {}).unwrap();
        let at = reader.digests_at().unwrap();
        let rows = reader.digests(&bytes[at.start as usize..at.end as usize]);
        rows.unwrap()
    }

    /// The sums of all rows of a partition and hour.
    type Sums = BTreeMap<(u16, u32), DigestSum>;

    fn add(sums: &mut Sums, partition: u16, hour: u32, sum: DigestSum) {
        let place = sums.entry((partition, hour)).or_default();
        *place = place.plus(sum);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn however_decisions_are_spread_over_slices_their_sums_are_the_same(
            slices in prop::collection::vec(0..3usize, 1..400),
        ) {
            let entries: Vec<Decided> = (0..slices.len() as u32).map(entry).collect();
            let mut plain = Sums::new();
            for entry in &entries {
                let digest = digest_of(entry, ParamsVersion::ONE);
                let (partition, hour) = (entry.key.partition(), entry.decided_at / 3_600);
                add(&mut plain, partition, hour, DigestSum { count: 1, digest });
            }
            let mut spread = Sums::new();
            for slice in 0..3 {
                let mine = entries.iter().zip(&slices).filter(|(_, of)| **of == slice);
                for row in rows_of(mine.map(|(entry, _)| *entry).collect()) {
                    prop_assert_eq!(row.class, 0);
                    add(&mut spread, row.partition, row.hour, row.sum);
                }
            }
            prop_assert_eq!(&spread, &plain);
            let whole = rows_of(entries);
            prop_assert!(whole.iter().all(|row| plain[&(row.partition, row.hour)] == row.sum));
            prop_assert_eq!(whole.len(), plain.len());
        }
    }

    #[test]
    fn all_of_a_decision_but_its_expiry_is_in_its_digest() {
        let changes: [fn(&mut Decided); 9] = [
            |it| it.key.low ^= 1,
            |it| it.digest_tag ^= 1,
            |it| it.encoding += 1,
            |it| it.reason += 1,
            |it| it.regime += 1,
            |it| it.numbers[0] = -1.5,
            |it| it.numbers[3] += 1.0,
            |it| it.decided_at += 1,
            |it| it.origin += 1,
        ];
        let digest = digest_of(&entry(1), ParamsVersion::ONE);
        for (at, change) in changes.into_iter().enumerate() {
            let mut changed = entry(1);
            change(&mut changed);
            let changed = digest_of(&changed, ParamsVersion::ONE);
            assert_ne!(changed, digest, "change {at}");
        }
        let other = ParamsVersion::new("2026-b").unwrap();
        assert_ne!(digest_of(&entry(1), other), digest);
        let longer = Decided {
            expiry: 200_000,
            params: 7,
            ..entry(1)
        };
        assert_eq!(digest_of(&longer, ParamsVersion::ONE), digest);
    }

    #[test]
    fn a_slice_that_would_need_too_many_rows_has_none() {
        let mut entries: Vec<Decided> = (0..40).map(entry).collect();
        entries.sort_by_key(|entry| entry.key);
        let rows = |rows_max| {
            let mut digests = Digests::new(rows_max);
            for entry in &entries {
                digests.add(entry, ParamsVersion::ONE);
            }
            digests.finish()
        };
        let all = rows(DIGESTS_MAX).unwrap();
        assert_eq!(rows(all.len()), Some(all.clone()));
        for rows_max in 0..all.len() {
            assert_eq!(rows(rows_max), None, "of at most {rows_max} rows");
        }
    }

    #[test]
    fn rows_out_of_order_or_of_nothing_are_refused() {
        let rows = rows_of((0..40).map(entry).collect());
        assert_eq!(decode(&encode(&rows)), Some(rows.clone()));
        let refused = |change: fn(&mut Vec<DigestRow>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            decode(&encode(&rows)).is_none()
        };
        assert!(refused(|rows| rows.swap(0, 1)));
        assert!(refused(|rows| rows.insert(0, rows[0])));
        assert!(refused(|rows| rows[0].sum.count = 0));
        assert!(refused(|rows| rows.last_mut().unwrap().partition = 1024));
        assert!(decode(&encode(&rows)[1..]).is_none());
    }
}
