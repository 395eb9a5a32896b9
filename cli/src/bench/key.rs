//! Keys of the command line as the generator uses them: it asks for a signature and never sees a key.

use crate::exit::Failure;
use crate::keyring::{Env, KeyArgs, ed25519_signing};
use flk_bench_load::claims::{Claims, Regime as Claimed};
use flk_bench_load::record::{Fields, Keys, Sign};
use flk_contract::record::{Ft, Record, Regime, SCHEMA, VERSION};
use flk_contract::{SigningKey, sign};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A key, and the claims that it signs with each record.
struct Key {
    key: SigningKey,
    claims: Claims,
}

impl Sign for Key {
    fn sign(&self, fields: Fields<'_>) -> String {
        let Claims {
            d_hat,
            budget,
            coh_star,
            r,
        } = self.claims;
        sign(
            &self.key,
            // What is not signed is left empty.
            &Record {
                pcs_id: fields.pcs_id,
                schema: SCHEMA,
                version: VERSION,
                shard_id: fields.shard_id,
                epoch: fields.epoch,
                attempt: 1,
                sent_at: "",
                seed: 0,
                scales: &[],
                n_j: &[],
                coh_star,
                v_star: &[],
                d_hat,
                r,
                budget,
                regime: Regime::Sticky,
                merkle_root: fields.merkle_root,
                sig: "",
                ft: Ft {
                    outbox_seq: 0,
                    degraded: false,
                    fallbacks: flk_contract::record::Texts::default(),
                    clock_skew_ms: 0,
                },
            },
        )
    }
}

/// Where the keys of a run are.
pub(crate) struct KeyFiles<'a> {
    pub(crate) keys: &'a KeyArgs,
    /// With a file for each tenant, `NAME.key`.
    pub(crate) tenants_dir: Option<&'a Path>,
    pub(crate) tenants: &'a [String],
    /// Whether a share of the records is signed by Ed25519, and the file of that key if it is named.
    pub(crate) ed25519: Option<Option<&'a PathBuf>>,
}

/// The keys of each tenant, or those of all, for records of a regime.
pub(crate) fn read(files: &KeyFiles<'_>, regime: Claimed) -> Result<Vec<Keys>, Failure> {
    let env = Env::of_process();
    let claims = Claims::of(regime);
    let arc = |key: SigningKey| -> Arc<dyn Sign> { Arc::new(Key { key, claims }) };
    let second = match files.ed25519 {
        Some(path) => Some(arc(ed25519_signing(path, &env)?)),
        None => None,
    };
    let with_second = |first: SigningKey| -> Keys {
        let first = std::iter::once(arc(first));
        first.chain(second.clone()).collect()
    };
    let Some(directory) = files.tenants_dir else {
        return Ok(vec![with_second(files.keys.signing(&env)?)]);
    };
    let of_tenant = |name: &String| {
        let path = directory.join(format!("{name}.key"));
        let key = files.keys.signing_of_file(&path, &env)?;
        Ok(with_second(key))
    };
    files.tenants.iter().map(of_tenant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_bench_load::mix::{Kind, Order};
    use flk_bench_load::record::{Carries, Recipe, Shape};
    use flk_contract::{
        KeySet, Params, Parser, Scheme, Scratch, SlopeCache, authenticate, check_identity, judge,
    };

    const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

    /// The key of this text under a scheme, for records of a regime, and the set that verifies it.
    fn key(scheme: Scheme, regime: Claimed) -> (Arc<dyn Sign>, KeySet) {
        let text = match scheme.algorithm {
            flk_contract::Algorithm::Ed25519 => SEED,
            _ => "a key of no use elsewhere, 32 bytes",
        };
        let key = SigningKey::from_text(scheme, text).unwrap();
        let set = KeySet::builder().add_signing(&key).unwrap().build();
        let claims = Claims::of(regime);
        (Arc::new(Key { key, claims }), set.unwrap())
    }

    /// What the generator builds by its own few lines is authentic and accepted by the contract crate, under every scheme and in every
    /// regime.
    #[test]
    fn records_are_accepted_under_every_scheme_and_what_is_spoiled_is_not() {
        for (scheme, regime) in Scheme::ALL
            .into_iter()
            .flat_map(|scheme| Claimed::ALL.map(|regime| (scheme, regime)))
        {
            let (key, set) = key(scheme, regime);
            let shape = Shape {
                authority: "h",
                path: "/",
                carries: Carries::Record,
                tenants: &[],
                body_bytes: 2_000,
                shard_id: "bench-1",
                regime,
            };
            let recipe = Recipe::new(&shape, vec![vec![key]]);
            let (mut parser, mut scratch) = (Parser::new(), Scratch::new());
            for (number, kind) in (0..4).flat_map(|it| Kind::ALL.map(|kind| (it, kind))) {
                let order = Order {
                    kind,
                    tenant: 0,
                    key: 0,
                };
                let mut body = Vec::new();
                recipe.write_body(&recipe.make(order, number), &mut body);
                let parsed = parser.parse(&body);
                let case = format!("{scheme:?} {regime:?} {kind:?}");
                assert_eq!(parsed.is_err(), kind == Kind::Malformed, "{case}");
                let Ok(record) = parsed else { continue };
                let verdict = authenticate(&record, &set, &mut scratch);
                assert_eq!(verdict.is_err(), kind == Kind::BadSignature, "{case}");
                check_identity(&record).unwrap();
                let outcome = judge(&record, &Params::default(), &mut SlopeCache::default());
                assert_eq!(outcome.escalated, None, "{case}: {outcome:?}");
                assert_eq!(outcome.regime.as_str(), regime.name());
            }
        }
    }
}
