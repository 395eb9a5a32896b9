//! Pairs bodies with their dispositions, which lie behind them in the same log: mostly in the same batch. What is kept of a
//! body until then is the caller's; only bodies without a final disposition are kept.

use flk_dataplane::wal::batch::Batch;
use flk_dataplane::wal::name::{Place, Sequence};
use flk_dataplane::wal::record::{BodyRecord, Content, Entry};
use std::collections::BTreeMap;

/// Bodies that wait for their disposition.
#[derive(Debug)]
pub(crate) struct Pairs<T> {
    /// Those of the batch that is read, in order; none where the disposition has come.
    here: Vec<(Place, Option<T>)>,
    /// Those of batches before.
    waiting: BTreeMap<Place, T>,
    /// Those that were given up. A grant that came late is logged behind that as a decision, and stands.
    unanswered: BTreeMap<Place, T>,
}

/// What is done with bodies and dispositions.
pub(crate) trait Use {
    /// What is kept of a body.
    type Kept;

    /// A body; none: it is not wanted.
    fn body(&mut self, at: &BodyAt<'_>) -> Option<Self::Kept>;

    /// A body and its final disposition, from a batch.
    fn pair(&mut self, kept: Self::Kept, entry: &Entry<'_>, batch: &Batch<'_>);

    /// A disposition of a body that is not kept: it is not wanted, or it was read elsewhere.
    fn alone(&mut self, entry: &Entry<'_>, batch: &Batch<'_>);
}

/// A stored body.
pub(crate) struct BodyAt<'b> {
    pub(crate) place: Place,
    /// Its line in its batch; none of a body that came as a request of its own.
    pub(crate) line: Option<u32>,
    pub(crate) record: BodyRecord<'b>,
    /// None if it was erased.
    pub(crate) bytes: Option<&'b [u8]>,
    /// Wall clock of its batch.
    pub(crate) wall_us: u64,
}

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self {
            here: Vec::new(),
            waiting: BTreeMap::new(),
            unanswered: BTreeMap::new(),
        }
    }
}

impl<T> Pairs<T> {
    /// Takes the next batch of the log; the number of its bodies.
    pub(crate) fn batch(&mut self, batch: &Batch<'_>, user: &mut impl Use<Kept = T>) -> u64 {
        let fields = batch.header.fields;
        for record in batch.records().flatten() {
            match record.content {
                Content::Body(body) => {
                    let place = Place {
                        sequence: fields.sequence,
                        index: record.index,
                    };
                    let at = BodyAt {
                        place,
                        line: Some(record.header.line).filter(|&line| line > 0),
                        record: body,
                        bytes: batch.body(&body),
                        wall_us: fields.wall_us,
                    };
                    self.here.push((place, user.body(&at)));
                }
                Content::Entry(entry) => self.disposition(&entry, batch, user),
                Content::Skipped => {}
            }
        }
        let bodies = self.here.len() as u64;
        let left = self.here.drain(..);
        self.waiting
            .extend(left.filter_map(|(place, kept)| Some((place, kept?))));
        bodies
    }

    fn disposition(&mut self, entry: &Entry<'_>, batch: &Batch<'_>, user: &mut impl Use<Kept = T>) {
        let Some(body) = entry.disposition_of() else {
            return;
        };
        match (self.take(body), entry) {
            (Some(kept), Entry::Unanswered(_)) => {
                self.unanswered.insert(body, kept);
            }
            (Some(kept), _) => user.pair(kept, entry, batch),
            (None, _) => user.alone(entry, batch),
        }
    }

    fn take(&mut self, body: Place) -> Option<T> {
        if let Ok(at) = self.here.binary_search_by_key(&body, |it| it.0) {
            return self.here[at].1.take();
        }
        let waiting = self.waiting.remove(&body);
        waiting.or_else(|| self.unanswered.remove(&body))
    }

    /// The first body that waits for its disposition.
    pub(crate) fn first_waiting(&self) -> Option<Place> {
        self.waiting.keys().next().copied()
    }

    /// Those that were given up, up to a sequence: a decision that comes later is reported as one of a body that is not kept.
    pub(crate) fn take_unanswered(&mut self, upto: Sequence) -> Vec<T> {
        let is_before = |place: &Place, _: &mut T| place.sequence <= upto;
        let taken = self.unanswered.extract_if(.., is_before);
        taken.map(|(_, kept)| kept).collect()
    }

    /// What has no disposition, and what was given up, once the log was read.
    pub(crate) fn left(self) -> (BTreeMap<Place, T>, BTreeMap<Place, T>) {
        (self.waiting, self.unanswered)
    }
}
