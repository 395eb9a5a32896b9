//! `flk config check`: every mistake in the settings, and names in the environment that look like settings and are none.

use super::{CommandResult, FileArgs};
use crate::exit::{CONFIG_CODES, Exit};
use crate::keys::now_s;
use crate::output::{Output, counted};
use clap::Args;
use flk_control::run::check_access;
use flk_dataplane::config::{
    Config, Mended, RawConfig, VARIABLES, form_of, read_wal_secret, unread_of_otel, warnings,
};
use flk_dataplane::snapshot::Source;
use std::collections::BTreeSet;
use std::path::Path;

const EXAMPLES: &str = "\
Examples:
  $ PCS_HMAC_KEY_FILE=agent.key flk config check
  $ PCS_HMAC_KEY_FILE=agent.key flk config check --config flk.toml";

/// Options of `flk config check`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{CONFIG_CODES}"))]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    file: FileArgs,
}

pub(super) fn run(args: &CheckArgs) -> CommandResult {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let names: BTreeSet<String> = names.collect();
    let unknown = warnings(&names);
    let (raw, mistakes) = args.file.read();
    let Mended {
        config,
        mistakes,
        raw,
        ..
    } = Mended::of(raw, mistakes);
    let unjudged = config.as_ref().and_then(unjudged);
    let secret = config.as_ref().and_then(secret_fault);
    // The control process refuses these at its start; the gateway does without an admin API.
    let access = config
        .as_ref()
        .map_or(Ok(()), |it| check_access(&it.control, &it.age_keys));
    let errors: Vec<String> = unknown
        .into_iter()
        .chain(mistakes.iter().map(ToString::to_string))
        .chain(access.err().into_iter().flatten())
        .chain(unjudged)
        .chain(secret)
        .collect();
    let mut output = Output::new();
    for error in &errors {
        output.line(format!("error: {error}"))?;
    }
    for unread in unread_of_otel(&names) {
        output.line(format!("warning: {unread}"))?;
    }
    if errors.is_empty() {
        let settings = counted(VARIABLES.len() as u64, "setting");
        output.line(format!(
            "{settings}, each is valid; flk doctor checks whether this host allows them"
        ))?;
        for line in config.iter().flat_map(|config| encrypted(&raw, config)) {
            output.line(line)?;
        }
    }
    output.flush()?;
    Ok(match errors.is_empty() {
        true => Exit::Yes,
        false => Exit::Configuration,
    })
}

/// A tenant whose parameter sets all begin later: no gateway starts so, or can be configured so.
pub(crate) fn unjudged(config: &Config) -> Option<String> {
    let fault = config.document.judges_at(now_s().ok()?).err()?;
    Some(fault.to_string())
}

/// A secret for a new directory that no gateway takes: none starts so.
pub(crate) fn secret_fault(config: &Config) -> Option<String> {
    let path = config.wal_secret_file.as_deref()?;
    Some(read_wal_secret(path).err()?.to_string())
}

/// A line for each secret that was read from an encrypted file, and a warning where others can open it, too.
fn encrypted(raw: &RawConfig, config: &Config) -> Vec<String> {
    let settings = VARIABLES.iter().filter_map(|&variable| {
        let (file, form) = raw.sealed(variable)?;
        Some((variable.key().to_owned(), form, file.to_string()))
    });
    let tenants = config.document.tenants.iter();
    let keys = tenants.flat_map(|tenant| tenant.keys.iter().map(move |key| (tenant, key)));
    let keys = keys.filter_map(|(tenant, key)| match &key.source {
        // Those of settings were reported; they are named by their fingerprints.
        Source::File { path, .. } if key.id != key.fingerprint => {
            let place = format!("tenant {}, key {}", tenant.name, key.id);
            Some((place, form_of(Path::new(path))?, key.source.to_string()))
        }
        _ => None,
    });
    let opener = raw.age_keys().source();
    let open = raw
        .age_keys()
        .open_to_all()
        .map(|path| format!("warning: all users can read {path}: chmod o= {path}"));
    let all = settings.chain(keys);
    all.map(|(what, form, file)| format!("{what}: {form}: {file}, opened with {opener}"))
        .chain(open)
        .collect()
}
