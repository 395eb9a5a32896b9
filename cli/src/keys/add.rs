//! `flk keys add`: one more key for a tenant, beside those that it has.

use super::change::{Change, ChangeArgs};
use super::document::Key;
use super::source::SourceArgs;
use super::state::Times;
use crate::CommandResult;
use crate::exit::KEYS_CHANGE_CODES;
use clap::Args;
use flk_dataplane::config::time;

const EXAMPLES: &str = "\
Examples:
  $ flk keys add acme --new-tenant --id first --key-file agent.key --config flk.toml
  $ flk keys add acme --key-file next.key --config flk.toml --dry-run
  $ flk keys add acme --key-file keys.sops.yaml --entry acme.current --config flk.toml";

const NOTES: &str = "\
At most four keys of a tenant are active at a time. To replace a key, use flk keys rotate. An encrypted file is opened with the
identity of SOPS_AGE_KEY_FILE.";

/// Options of `flk keys add`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = format!("{NOTES}\n\n{KEYS_CHANGE_CODES}"))]
pub(crate) struct AddArgs {
    /// Tenant
    tenant: String,
    #[command(flatten)]
    source: SourceArgs,
    /// The key verifies from this time on [default: at once]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    not_before: Option<u64>,
    /// The key verifies up to this time [default: without an end]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    not_after: Option<u64>,
    /// Put the tenant into the file if it is not there
    #[arg(long)]
    new_tenant: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

fn moment(text: &str) -> Result<u64, String> {
    let at = time::seconds(text);
    at.ok_or_else(|| {
        "it must be a time with its offset and in whole seconds, such as 2026-11-01T00:00:00Z"
            .to_owned()
    })
}

pub(super) fn run(args: &AddArgs) -> CommandResult {
    let mut change = Change::begin(&args.change)?;
    let tenant = args.tenant.as_str();
    if args.new_tenant && change.document.keys(tenant).is_none() {
        change.document.add_tenant(tenant);
        if tenant == "default" {
            let warning = "from now on the keys in the file count for the tenant default, and those of PCS_HMAC_KEY and other variables only if the file names them";
            change.warnings.push(warning.to_owned());
        }
    }
    let keys = change.keys(tenant)?;
    let new = args.source.new_key(&keys, &change.age_keys())?;
    change.look_at_place(&new.source);
    change.warnings.extend(new.warnings);
    let date = time::show(change.now_s);
    let key = Key {
        id: args.source.id(&keys, &date[..date.len().min(10)]),
        scheme: new.scheme.to_string(),
        source: Some(new.source),
        times: Times {
            not_before: args.not_before,
            not_after: args.not_after,
            revoked_at: None,
        },
    };
    change.edit(tenant, |document| document.add_key(tenant, &key, ""))?;
    change.finish(&args.change, tenant)
}
