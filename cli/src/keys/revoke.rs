//! `flk keys revoke`: a key that verifies nothing from now on. It stays in the file, so that it cannot be added again by mistake.

use super::change::{Change, ChangeArgs};
use super::state::State;
use crate::CommandResult;
use crate::exit::{Failure, KEYS_CHANGE_CODES};
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  $ flk keys revoke acme first --config flk.toml --dry-run
  $ flk keys revoke acme first --config flk.toml";

const NOTES: &str = "\
Requests that the key signed get 401 once this is in force, also those of stored records. Outcomes hold: signed by \
another key, such a record gets its stored answer.";

/// Options of `flk keys revoke`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = format!("{NOTES}\n\n{KEYS_CHANGE_CODES}"))]
pub(crate) struct RevokeArgs {
    /// Tenant
    tenant: String,
    /// Name of the key
    id: String,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) fn run(args: &RevokeArgs) -> CommandResult {
    let mut change = Change::begin(&args.change)?;
    let (tenant, id) = (args.tenant.as_str(), args.id.as_str());
    let keys = change.keys(tenant)?;
    let Some(key) = keys.iter().find(|key| key.id == id) else {
        let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        let ids = ids.join(", ");
        return Err(Failure::usage(format!(
            "tenant {tenant} has no key {id}; it has {ids}"
        )));
    };
    let now_s = change.now_s;
    // What was revoked earlier stays so since then.
    if !matches!(key.times.state(now_s), State::Revoked { .. }) {
        change.edit(tenant, |document| {
            document.set_time(tenant, id, "revoked_at", now_s, "")
        })?;
    }
    change.finish(&args.change, tenant)
}
