//! What a stored body is judged under: a replay chooses the parameters of a record by its time and key as a shard did when it came.

use super::snapshots::{document, resolve};
use crate::dedup::Key;
use crate::shard::tenants::InForce;
use crate::snapshot::{ParamsDocument, Resolver, judging_set};
use crate::stats::tenants::TenantPages;
use flk_contract::Params;
use std::collections::BTreeSet;
use std::sync::Arc;

#[test]
fn a_replay_chooses_parameters_as_the_shard_that_judged() {
    let set = |version: &str, share, effective_from| ParamsDocument {
        version: version.to_owned(),
        share,
        effective_from,
        ..ParamsDocument::of(&Params::default())
    };
    let shared = [set("some", 250, None), set("others", 750, None)];
    let in_turn = [set("first", 1000, None), set("later", 1000, Some(500))];
    let coming = [set("only", 1000, Some(100))];
    let mut chosen = BTreeSet::new();
    for sets in [&shared[..], &in_turn, &coming] {
        let mut document = document(0, &["default"]);
        document.tenants[0].params = sets.to_vec();
        let snapshot = resolve(&mut Resolver::default(), &document);
        let versions = snapshot.versions();
        let page = TenantPages::default();
        let id = snapshot.named(b"default").unwrap();
        for wall_s in [0, 99, 100, 499, 500, 10_000] {
            let in_force = InForce::new(Arc::clone(&snapshot), &versions, wall_s, &page, None);
            for part in 0..1_000 {
                let key = Key {
                    high: 7,
                    low: part * (u64::MAX / 1_000),
                };
                let shard = in_force.of(id).params_of(key).params.version;
                let sets = snapshot.tenant(id).judging(wall_s);
                let replay = judging_set(sets, key).unwrap().params.version;
                assert_eq!(replay, shard, "{wall_s} {part}");
                chosen.insert(replay.as_str().to_owned());
            }
        }
    }
    assert_eq!(chosen.len(), 5, "{chosen:?}");
}
