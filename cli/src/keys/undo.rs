//! How a rotation is taken back: comments that it left in the file tell the key that it added and the ends that it set. Without
//! them nothing is undone.

use super::change::Change;
use super::document::{Document, Key};
use super::state::State;
use crate::exit::Failure;

/// The comment behind the first time of a key that a rotation added.
pub(super) const NEW: &str = " # rotation";

/// The comment behind an end that the rotation to a key set.
pub(super) fn note(id: &str, before: Option<&str>) -> String {
    match before {
        Some(before) => format!(" # rotation to {id}, was {before}"),
        None => format!(" # rotation to {id}"),
    }
}

/// Takes the last rotation of a tenant back.
pub(super) fn undo(change: &mut Change, tenant: &str) -> Result<(), Failure> {
    let keys = change.keys(tenant)?;
    let is_new = |key: &&Key| {
        let comment = change.document.comment(tenant, &key.id, "not_before");
        comment.is_some_and(|it| it.trim_end() == NEW)
    };
    let last = keys
        .iter()
        .filter(is_new)
        .max_by_key(|key| key.times.not_before);
    let Some(new) = last else {
        return Err(Failure::usage(format!(
            "there is no rotation of {tenant} to take back; flk keys revoke takes a key back, and not_after in the file says when one ends"
        )));
    };
    if let State::Revoked { .. } = new.times.state(change.now_s) {
        return Err(Failure::usage(format!(
            "the last rotation of {tenant} was to {}, which is revoked: rotate to another key instead",
            new.id
        )));
    }
    for old in &keys {
        let Some(mark) = Mark::of(&change.document, tenant, &old.id, &new.id) else {
            continue;
        };
        change.edit(tenant, |document| {
            let before = (mark.before.as_deref(), mark.comment.as_str());
            document.restore_time(tenant, &old.id, "not_after", before)
        })?;
    }
    change.edit(tenant, |document| document.remove_key(tenant, &new.id))?;
    let id = &new.id;
    change.warnings.push(format!(
        "records that agents sign with {id} get 401 once this is in force: flk keys list --url shows whether there are any"
    ));
    Ok(())
}

/// What a rotation left behind an end.
struct Mark {
    /// The end that there was, as it was typed.
    before: Option<String>,
    /// The comment that there was.
    comment: String,
}

impl Mark {
    fn of(document: &Document, tenant: &str, old: &str, new: &str) -> Option<Mark> {
        let whole = document.comment(tenant, old, "not_after")?;
        let (comment, rest) = whole.rsplit_once(" # rotation to ")?;
        let (id, before) = match rest.trim_end().split_once(", was ") {
            Some((id, before)) => (id, Some(before.to_owned())),
            None => (rest.trim_end(), None),
        };
        (id == new).then(|| Mark {
            before,
            comment: comment.to_owned(),
        })
    }
}
