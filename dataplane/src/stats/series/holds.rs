//! The samples of holds.

use super::Series;
use crate::stats::Cell;
use crate::stats::format::Number;
use crate::stats::holds::HoldRow;
use crate::stats::page::Parts;

/// One sample for each hold.
fn each(parts: &Parts<'_>, put: &mut Series<'_>, of: fn(&HoldRow) -> &Cell) {
    for row in &parts.keeper.hold_rows.0 {
        if row.is_there.get() == 1 {
            put(&[&row.name.get()], Number(of(row).get()));
        }
    }
}

pub(in crate::stats) fn kept_bytes(parts: &Parts<'_>, put: &mut Series<'_>) {
    each(parts, put, |row| &row.kept_bytes);
}

pub(in crate::stats) fn behind_bytes(parts: &Parts<'_>, put: &mut Series<'_>) {
    each(parts, put, |row| &row.behind_bytes);
}

pub(in crate::stats) fn ages(parts: &Parts<'_>, put: &mut Series<'_>) {
    each(parts, put, |row| &row.age_us);
}
