//! Keys of the command line as the generator uses them: it asks for a signature and never sees a key.

use crate::exit::Failure;
use crate::keyring::{Env, KeyArgs, ed25519_signing};
use flk_bench_load::record::{Claims, Fields, Keys, Sign};
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
pub(super) struct KeyFiles<'a> {
    pub(super) keys: &'a KeyArgs,
    /// With a file for each tenant, `NAME.key`.
    pub(super) tenants_dir: Option<&'a Path>,
    pub(super) tenants: &'a [String],
    /// Whether a share of the records is signed by Ed25519, and the file of that key if it is named.
    pub(super) ed25519: Option<Option<&'a PathBuf>>,
}

/// The keys of each tenant, or those of all.
pub(super) fn read(files: &KeyFiles<'_>) -> Result<Vec<Keys>, Failure> {
    let env = Env::of_process();
    let arc = |key: SigningKey| -> Arc<dyn Sign> {
        let claims = Claims::of_all();
        Arc::new(Key { key, claims })
    };
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
    use flk_bench_load::record::{Recipe, Shape};
    use flk_contract::{
        KeySet, Params, Parser, Scheme, Scratch, SlopeCache, authenticate, check_identity, judge,
    };

    const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

    /// What the generator builds by its own few lines is authentic and accepted by the contract crate, under every scheme.
    #[test]
    fn records_are_accepted_under_every_scheme_and_what_is_spoiled_is_not() {
        for scheme in Scheme::ALL {
            let text = match scheme.algorithm {
                flk_contract::Algorithm::Ed25519 => SEED,
                _ => "a key of no use elsewhere, 32 bytes",
            };
            let signing = SigningKey::from_text(scheme, text).unwrap();
            let set = KeySet::builder()
                .add_signing(&signing)
                .unwrap()
                .build()
                .unwrap();
            let claims = Claims::of_all();
            let key: Arc<dyn Sign> = Arc::new(Key {
                key: signing,
                claims,
            });
            let shape = Shape {
                authority: "h",
                path: "/",
                tenants: &[],
                body_bytes: 2_000,
                shard_id: "bench-1",
            };
            let recipe = Recipe::new(&shape, vec![vec![key]]);
            let (mut parser, mut scratch) = (Parser::new(), Scratch::new());
            for number in 0..4 {
                for kind in Kind::ALL {
                    let order = Order {
                        kind,
                        tenant: 0,
                        key: 0,
                    };
                    let mut out = Vec::new();
                    recipe.write(&recipe.make(order, number), &mut out);
                    let at = out.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
                    let parsed = parser.parse(&out[at..]);
                    assert_eq!(
                        parsed.is_err(),
                        kind == Kind::Malformed,
                        "{scheme:?} {kind:?}"
                    );
                    let Ok(record) = parsed else { continue };
                    let verdict = authenticate(&record, &set, &mut scratch);
                    assert_eq!(
                        verdict.is_err(),
                        kind == Kind::BadSignature,
                        "{scheme:?} {kind:?}"
                    );
                    check_identity(&record).unwrap();
                    let outcome = judge(&record, &Params::default(), &mut SlopeCache::default());
                    assert_eq!(outcome.escalated, None, "{outcome:?}");
                }
            }
        }
    }
}
