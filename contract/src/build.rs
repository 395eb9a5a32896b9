//! Builds an unsigned record from events, as an agent does, for the command line, tests and the simulator. It reads texts
//! and settings, never a file or a clock.

use crate::{
    hash, identity,
    number::{self, Sink},
    params::Params,
    record::{
        INTEGER_MAX, OwnedRecord, SCALE_MAX, SCALES_COUNT_MAX, SCALES_COUNT_MIN, SCHEMA,
        TEXT_BYTES_MAX, VERSION,
    },
    rfc3339,
    signals::{
        boxes::boxes,
        budget::budget,
        coherence::{self, coherence},
        compressibility::compressibility,
        merkle::merkle_root,
        regime::regime,
        theil_sen::SlopeCache,
    },
};

/// One event: a time and a point, whose coordinates keep the text in which they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Time in seconds.
    pub t: f64,
    /// x, y and z as written.
    pub written: [String; 3],
    /// x, y and z as numbers.
    pub point: [f64; 3],
}

/// What is wrong with a line of an event CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsvFault {
    /// Not exactly four fields.
    FieldsCount,
    /// Not a finite decimal number.
    NotANumber,
}

/// A line of an event CSV that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvError {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: CsvFault,
}

impl std::fmt::Display for CsvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let must = match self.fault {
            CsvFault::FieldsCount => "must have exactly the four fields t,x,y,z",
            CsvFault::NotANumber => {
                "must have a finite decimal number, without quotes, in each field"
            }
        };
        write!(f, "line {} {must}", self.line)
    }
}

impl std::error::Error for CsvError {}

/// Reads events from lines `t,x,y,z`. A first line with these four names is a heading; blank lines are skipped; spaces
/// around a field are ignored.
pub fn read_csv(text: &str) -> Result<Vec<Event>, CsvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut events = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let fault = |fault| CsvError {
            line: at + 1,
            fault,
        };
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let Ok([t, x, y, z]) = <[&str; 4]>::try_from(fields) else {
            return Err(fault(CsvFault::FieldsCount));
        };
        if events.is_empty() && [t, x, y, z] == ["t", "x", "y", "z"] {
            continue;
        }
        let number = |text: &str| finite(text).ok_or(fault(CsvFault::NotANumber));
        events.push(Event {
            t: number(t)?,
            point: [number(x)?, number(y)?, number(z)?],
            written: [x, y, z].map(str::to_owned),
        });
    }
    Ok(events)
}

/// A decimal number; infinities and NaN are refused.
fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|v: &f64| v.is_finite())
}

/// The bytes that `r` and the Merkle root are computed over: rows `t,x,y,z` joined by newlines, t with nine decimals.
pub fn raw_rows(events: &[Event]) -> Vec<u8> {
    let mut raw = Vec::new();
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            raw.put(b"\n");
        }
        number::write_fixed9(&mut raw, event.t);
        for written in &event.written {
            raw.put(b",");
            raw.put(written.as_bytes());
        }
    }
    raw
}

/// The parts of a record that do not follow from the events.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// 1–128 bytes.
    pub shard_id: String,
    /// 0 … 2^53−1.
    pub epoch: u64,
    /// From 1.
    pub attempt: u64,
    /// RFC 3339 date-time.
    pub sent_at: String,
    /// Seed of the direction generator.
    pub seed: i64,
    /// 2–64 distinct scales.
    pub scales: Vec<u32>,
    /// Directions sampled for coherence.
    pub directions_count: u32,
    /// Histogram bins along a direction.
    pub bins_count: u32,
    /// Weights of the budget and bounds of the regimes.
    pub params: Params,
    /// Position in the outbox.
    pub outbox_seq: i64,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            shard_id: "shard-001".to_owned(),
            epoch: 0,
            attempt: 1,
            sent_at: "1970-01-01T00:00:00Z".to_owned(),
            seed: 0,
            scales: vec![2, 4, 8, 16, 32],
            directions_count: coherence::DIRECTIONS_COUNT,
            bins_count: coherence::BINS_COUNT,
            params: Params::default(),
            outbox_seq: 0,
        }
    }
}

/// A setting outside the bounds of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// Without events every count would be 0, and a record's counts start at 1.
    NoEvents,
    /// `shard_id` is not 1–128 bytes.
    ShardId,
    /// `epoch` is above 2^53−1.
    Epoch,
    /// `attempt` is not 1 … 2^53−1.
    Attempt,
    /// `sent_at` is not an RFC 3339 date-time.
    SentAt,
    /// `scales` are not 2–64 distinct integers from 1 to 2^31−1.
    Scales,
    /// Directions or bins are zero.
    Coherence,
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoEvents => "there are no events, and a record needs at least one",
            Self::ShardId => "the shard id must have 1 to 128 bytes",
            Self::Epoch => "the epoch must be at most 2^53-1",
            Self::Attempt => "the attempt must be from 1 to 2^53-1",
            Self::SentAt => {
                "the sending time must be an RFC 3339 date-time such as 2025-01-15T10:30:00Z"
            }
            Self::Scales => "the scales must be 2 to 64 distinct integers from 1 to 2^31-1",
            Self::Coherence => "directions and bins must be at least 1",
        })
    }
}

impl std::error::Error for BuildError {}

/// Builds the unsigned record of `events`; sign it with [`crate::sign`].
///
/// The signals are defined for no events too, but a record needs at least one event.
pub fn build(events: &[Event], options: &BuildOptions) -> Result<OwnedRecord, BuildError> {
    check(options)?;
    if events.is_empty() {
        return Err(BuildError::NoEvents);
    }
    let points: Vec<[f64; 3]> = events.iter().map(|event| event.point).collect();
    let raw = raw_rows(events);
    let params = &options.params;

    let scales = options.scales.clone();
    let n_j: Vec<u64> = scales.iter().map(|s| boxes(&points, *s)).collect();
    let d_hat = SlopeCache::new().d_hat(&scales, &n_j);
    let coherence = coherence(
        &points,
        options.seed,
        options.directions_count,
        options.bins_count,
    );
    let coh_star = coherence.coh_star;
    let r = compressibility(&raw);
    let merkle_root = merkle_root(&raw);
    let id = identity::pcs_id(&merkle_root, options.epoch, &options.shard_id);

    Ok(OwnedRecord {
        pcs_id: hash::hex32(&id).iter().map(|b| char::from(*b)).collect(),
        schema: SCHEMA.to_owned(),
        version: VERSION.to_owned(),
        shard_id: options.shard_id.clone(),
        epoch: options.epoch,
        attempt: options.attempt,
        sent_at: options.sent_at.clone(),
        seed: options.seed,
        scales,
        n_j,
        coh_star,
        v_star: coherence.v_star.to_vec(),
        d_hat,
        r,
        budget: budget(d_hat, r, coh_star, params),
        regime: regime(d_hat, coh_star, params),
        merkle_root,
        sig: String::new(),
        outbox_seq: options.outbox_seq,
        degraded: false,
        clock_skew_ms: 0,
        fallbacks_joined: String::new(),
        fallbacks_ends: Vec::new(),
    })
}

fn check(options: &BuildOptions) -> Result<(), BuildError> {
    let must = |rule: bool, error| if rule { Ok(()) } else { Err(error) };
    must(
        (1..=TEXT_BYTES_MAX).contains(&options.shard_id.len()),
        BuildError::ShardId,
    )?;
    must(options.epoch <= INTEGER_MAX, BuildError::Epoch)?;
    must(
        (1..=INTEGER_MAX).contains(&options.attempt),
        BuildError::Attempt,
    )?;
    must(rfc3339::is_date_time(&options.sent_at), BuildError::SentAt)?;
    must(scales_are_valid(&options.scales), BuildError::Scales)?;
    must(
        options.directions_count > 0 && options.bins_count > 0,
        BuildError::Coherence,
    )
}

fn scales_are_valid(scales: &[u32]) -> bool {
    let mut sorted = scales.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    (SCALES_COUNT_MIN..=SCALES_COUNT_MAX).contains(&scales.len())
        && sorted.len() == scales.len()
        && sorted
            .iter()
            .all(|s| (1..=SCALE_MAX).contains(&u64::from(*s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_options_a_record_is_the_first_of_a_first_shard() {
        let BuildOptions {
            shard_id,
            epoch,
            attempt,
            sent_at,
            seed,
            scales,
            outbox_seq,
            ..
        } = BuildOptions::default();
        assert_eq!(
            (&*shard_id, epoch, attempt, outbox_seq),
            ("shard-001", 0, 1, 0)
        );
        assert_eq!(sent_at, "1970-01-01T00:00:00Z");
        assert_eq!((seed, scales), (0, vec![2, 4, 8, 16, 32]));
    }

    #[test]
    fn coordinates_keep_their_text_and_times_get_nine_decimals() {
        let events = read_csv("t,x,y,z\r\n 0.5, 1.50 ,-0,1e-3\r\n\r\n1,2,3,4").unwrap();
        assert_eq!(
            raw_rows(&events),
            b"0.500000000,1.50,-0,1e-3\n1.000000000,2,3,4"
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, line, fault) in [
            ("1,2,3", 1, CsvFault::FieldsCount),
            ("t,x,y,z\n1,2,3,4\n1,2,3,4,5", 3, CsvFault::FieldsCount),
            ("\n1,2,3,nan", 2, CsvFault::NotANumber),
            ("1,2,inf,3", 1, CsvFault::NotANumber),
            ("1,2,1e999,3", 1, CsvFault::NotANumber),
            ("1,2,,3", 1, CsvFault::NotANumber),
            ("1,2,3,4\nt,x,y,z", 2, CsvFault::NotANumber),
        ] {
            assert_eq!(read_csv(text), Err(CsvError { line, fault }), "{text}");
        }
    }

    #[test]
    fn there_is_no_record_of_nothing() {
        let built = build(&[], &BuildOptions::default());
        assert_eq!(built, Err(BuildError::NoEvents));
    }

    #[test]
    fn settings_that_no_record_can_have_are_refused() {
        let refused = |edit: &dyn Fn(&mut BuildOptions)| {
            let mut options = BuildOptions::default();
            edit(&mut options);
            build(&[], &options).unwrap_err()
        };
        assert_eq!(refused(&|o| o.shard_id.clear()), BuildError::ShardId);
        assert_eq!(refused(&|o| o.epoch = 1 << 53), BuildError::Epoch);
        assert_eq!(refused(&|o| o.attempt = 0), BuildError::Attempt);
        assert_eq!(refused(&|o| o.sent_at.clear()), BuildError::SentAt);
        assert_eq!(refused(&|o| o.scales = vec![2, 2]), BuildError::Scales);
        assert_eq!(refused(&|o| o.scales = vec![0, 2]), BuildError::Scales);
        assert_eq!(refused(&|o| o.bins_count = 0), BuildError::Coherence);
    }
}
