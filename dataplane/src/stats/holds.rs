//! What is shown of holds, in a table of fixed size: a row belongs to one name for the life of the process, whether there is such
//! a hold at the time or not. The keeper writes it.

use super::Cell;
use super::cell::Text;

/// Names with a row of their own. A hold of a further name is counted, and has no samples.
pub const HOLD_ROWS: usize = 64;

/// What is shown of a hold.
#[derive(Debug, Default)]
#[repr(C)]
pub struct HoldRow {
    pub(super) name: Text<8>,
    /// 1 while there is such a hold.
    pub(super) is_there: Cell,
    /// Bytes that it keeps from being deleted by age.
    pub(super) kept_bytes: Cell,
    /// Bytes of closed segments that it is not done with.
    pub(super) behind_bytes: Cell,
    /// How long it has not moved, in microseconds of the expiry clock.
    pub(super) age_us: Cell,
}

/// The table.
#[derive(Debug)]
#[repr(C)]
pub struct HoldRows(pub(super) [HoldRow; HOLD_ROWS]);

impl Default for HoldRows {
    fn default() -> HoldRows {
        HoldRows(std::array::from_fn(|_| HoldRow::default()))
    }
}

/// A hold as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct ShownHold<'a> {
    /// Its name.
    pub name: &'a str,
    /// Bytes that it keeps from being deleted by age.
    pub kept_bytes: u64,
    /// Bytes of closed segments that it is not done with.
    pub behind_bytes: u64,
    /// How long it has not moved, in seconds of the expiry clock.
    pub age_s: u32,
}

impl HoldRows {
    /// These are the holds; of others nothing is shown any more.
    pub fn show(&self, holds: &[ShownHold<'_>]) {
        for row in &self.0 {
            let is_there = holds.iter().any(|hold| row.name.is(hold.name));
            row.is_there.set(u64::from(is_there));
        }
        for hold in holds {
            let is_its_own = |row: &&HoldRow| !row.name.is_set() || row.name.is(hold.name);
            let Some(row) = self.0.iter().find(is_its_own) else {
                continue;
            };
            if !row.name.is_set() {
                row.name.set(hold.name);
            }
            row.kept_bytes.set(hold.kept_bytes);
            row.behind_bytes.set(hold.behind_bytes);
            row.age_us.set(u64::from(hold.age_s) * 1_000_000);
            row.is_there.set(1);
        }
    }
}
