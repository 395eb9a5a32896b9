//! One traced record: whose trace it is, when it passed which border, and how it ended.
//! It holds no payload, reads no clock and sends nothing.

use flk_contract::verify::Reason;

/// A border that a traced record passes, in the order of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Moment {
    /// The first bytes of its request were looked at.
    Begun,
    /// Its last byte had arrived: latency counts from here.
    Whole,
    /// It was cut out of the bytes of its connection, and its body appended to the open batch.
    Framed,
    /// Parsing begins.
    Parse,
    /// Checking the signature begins.
    Signature,
    /// Checking the identity and verifying begins.
    Verify,
    /// It is judged.
    Judged,
    /// It claimed its key.
    Claimed,
    /// The owner of the key answered.
    Answered,
    /// Its decision was appended to the open batch.
    Decided,
    /// Its body was durable.
    Durable,
    /// Its decision was durable.
    DecisionDurable,
    /// All that its answer promises was durable.
    Ready,
    /// Its answer left.
    Replied,
}

impl Moment {
    /// How many there are.
    pub const COUNT: usize = Moment::Replied as usize + 1;
}

/// What de-duplication said of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// It was not asked, or did not answer.
    #[default]
    Nothing,
    /// The record is the first of its id.
    Miss,
    /// It is a duplicate.
    Hit,
    /// It is another record of the same id.
    Conflict,
}

impl Found {
    const ALL: [Found; 4] = [Found::Nothing, Found::Miss, Found::Hit, Found::Conflict];

    /// As in the header `Flk-Dedup`; empty for nothing.
    pub fn name(self) -> &'static str {
        match self {
            Found::Nothing => "",
            Found::Miss => "miss",
            Found::Hit => "hit",
            Found::Conflict => "conflict",
        }
    }

    /// That of this number.
    pub(super) fn numbered(number: u8) -> Found {
        let found = Found::ALL.get(usize::from(number));
        found.copied().unwrap_or_default()
    }
}

/// A traced record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The trace that it belongs to.
    pub trace_id: [u8; 16],
    /// The span of its caller; 0: the trace begins here.
    pub parent_id: u64,
    /// Its root span; those of its children follow from it.
    pub span_id: u64,
    /// When it passed each [`Moment`], in nanoseconds of the monotonic clock; 0: it did not.
    pub moments: [u64; Moment::COUNT],
    /// Status of its answer; 0: none left, for its connection had ended.
    pub status: u16,
    /// What de-duplication said.
    pub found: Found,
    /// Number of the reason of an escalation; 0: none.
    pub reason: u8,
    /// The shard that received it.
    pub shard: u16,
    /// The shard that owns its key, if it claimed one.
    pub owner: u16,
    /// Row of its tenant in [`super::tenants::TenantPages`].
    pub tenant_row: u16,
    /// Snapshot that it was judged under.
    pub snapshot: u32,
    /// Records of the batch with its body.
    pub batch_records: u32,
    /// Its id, if its signature was valid.
    pub pcs_id: Option<[u8; 32]>,
}

impl Trace {
    /// When it passed a border.
    pub fn at(&self, moment: Moment) -> Option<u64> {
        Some(self.moments[moment as usize]).filter(|&at_ns| at_ns > 0)
    }

    /// It passes a border now; only the first time counts.
    pub fn pass(&mut self, moment: Moment, at_ns: u64) {
        let place = &mut self.moments[moment as usize];
        if *place == 0 {
            *place = at_ns;
        }
    }

    /// What the histogram of latencies counted for it, in microseconds; `None`: nothing.
    pub fn latency_us(&self) -> Option<u64> {
        let replied_ns = self.at(Moment::Replied)?;
        Some(replied_ns.saturating_sub(self.at(Moment::Whole)?) / 1000)
    }

    /// The reason of its escalation.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_code(self.reason)
    }

    /// Whether another shard owns its key.
    pub fn hops(&self) -> bool {
        self.at(Moment::Claimed).is_some() && self.owner != self.shard
    }
}
