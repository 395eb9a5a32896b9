//! The name of a parameter set stands for its numbers for ever: outcomes carry the name only. It knows every set that a stored
//! snapshot ever had, and refuses another meaning of a name.

use super::store::{SnapshotStore, StoreError};
use crate::snapshot::{Document, ParamsDocument};
use flk_contract::Params;
use std::collections::BTreeMap;

/// Sets by name, their numbers only.
#[derive(Debug)]
pub(super) struct BoundParams(BTreeMap<String, ParamsDocument>);

impl BoundParams {
    /// The default set and those of stored snapshots. Snapshots that are damaged
    /// are left out and reported.
    ///
    /// # Errors
    /// What is stored cannot be read.
    pub(super) fn read(
        store: &SnapshotStore,
        damaged: &mut Vec<StoreError>,
    ) -> Result<BoundParams, StoreError> {
        let mut bound = BoundParams(BTreeMap::new());
        bound.bind(&ParamsDocument::of(&Params::default()));
        store.every(damaged, |form| {
            let tenants = form["tenants"].as_array().into_iter().flatten();
            let sets = tenants.flat_map(|it| it["params"].as_array().into_iter().flatten());
            for set in sets {
                if let Ok(set) = serde_json::from_value(set.clone()) {
                    bound.bind(&set);
                }
            }
        })?;
        Ok(bound)
    }

    /// What a name of this document would get another meaning by, if one would.
    pub(super) fn refusal(&self, document: &Document) -> Option<String> {
        let sets = document.tenants.iter().flat_map(|tenant| &tenant.params);
        let other = sets.into_iter().find(|set| {
            let known = self.0.get(&set.version);
            known.is_some_and(|known| *known != set.numbers())
        })?;
        Some(format!(
            "parameter set {}: outcomes of records carry this name for other numbers; give the new numbers a new name",
            other.version
        ))
    }

    /// The sets of a document keep their names from now on.
    pub(super) fn bind_all(&mut self, document: &Document) {
        let sets = document.tenants.iter().flat_map(|tenant| &tenant.params);
        sets.for_each(|set| self.bind(set));
    }

    /// The first meaning of a name is the one that counts.
    fn bind(&mut self, set: &ParamsDocument) {
        let entry = self.0.entry(set.version.clone());
        entry.or_insert_with(|| set.numbers());
    }
}
