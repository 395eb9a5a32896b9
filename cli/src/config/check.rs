//! `flk config check`: every mistake in the settings, and names in the environment that look like settings and are none.

use super::{CommandResult, FileArgs, STAND_IN_KEY};
use crate::exit::{CONFIG_CODES, Exit};
use crate::keys::now_s;
use crate::output::{Output, counted};
use clap::Args;
use flk_dataplane::config::{Config, ConfigError, RawConfig, VARIABLES, Variable, warnings};
use std::collections::BTreeSet;

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
    let unknown = warnings(&names.collect::<BTreeSet<_>>());
    let (raw, mut mistakes) = args.file.read();
    let unjudged = unjudged(&raw);
    mistakes.extend(wrong_values(raw));
    let errors: Vec<String> = unknown
        .into_iter()
        .chain(mistakes.iter().map(ToString::to_string))
        .chain(unjudged)
        .collect();
    let mut output = Output::new();
    for error in &errors {
        output.line(format!("error: {error}"))?;
    }
    if errors.is_empty() {
        let settings = counted(VARIABLES.len() as u64, "setting");
        output.line(format!(
            "{settings}, each is valid; flk doctor checks whether this host allows them"
        ))?;
    }
    output.flush()?;
    Ok(match errors.is_empty() {
        true => Exit::Yes,
        false => Exit::Configuration,
    })
}

/// A tenant whose parameter sets all begin later: a gateway that serves refuses to be configured so.
fn unjudged(raw: &RawConfig) -> Option<String> {
    let document = Config::resolve(raw).ok()?.document;
    let fault = document.judges_at(now_s().ok()?).err()?;
    Some(fault.to_string())
}

/// Every wrong value: each is put right in turn, until none is left.
fn wrong_values(mut raw: RawConfig) -> Vec<ConfigError> {
    let mut found = Vec::new();
    while let Err(error) = Config::resolve(&raw) {
        let variable = VARIABLES.iter().find(|it| it.name() == error.variable);
        let again = found
            .iter()
            .any(|it: &ConfigError| it.variable == error.variable);
        let (Some(&variable), false) = (variable, again) else {
            // What stands behind it is not seen before it is put right: a mistake of the tenants, which is no setting's.
            if !again {
                found.push(error);
            }
            break;
        };
        raw = raw.with(variable, stand_in(variable));
        found.push(error);
    }
    found
}

/// What may be missing has something to stand for it; what is wrong is left out.
fn stand_in(variable: Variable) -> Option<String> {
    let may_be_missing = [Variable::HmacKey, Variable::MetricsPass].contains(&variable);
    may_be_missing.then(|| STAND_IN_KEY.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_dataplane::config::Flags;

    fn named(set: &[(&str, &str)]) -> Vec<&'static str> {
        let env = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        let raw = RawConfig::read(&env, &Flags::default()).unwrap();
        wrong_values(raw).iter().map(|it| it.variable).collect()
    }

    #[test]
    fn every_mistake_is_found_and_each_once() {
        let key = ("PCS_HMAC_KEY", "0123456789abcdef0123456789abcdef");
        assert_eq!(named(&[key]), [""; 0]);
        assert_eq!(named(&[]), ["PCS_HMAC_KEY"]);
        assert_eq!(
            named(&[
                ("PORT", "x"),
                ("LISTEN", "y"),
                ("DEDUP_TTL", "z"),
                ("WAL_MAX_AGE", "1")
            ]),
            ["LISTEN", "PORT", "PCS_HMAC_KEY", "DEDUP_TTL", "WAL_MAX_AGE"]
        );
        assert_eq!(
            named(&[key, ("METRICS_USER", "a"), ("DEDUP_TTL", "z")]),
            ["METRICS_PASS", "DEDUP_TTL"]
        );
        assert_eq!(
            named(&[("PCS_SIGN_ALG", "ed25519")]),
            ["PCS_ED25519_PUB_B64"]
        );
    }
}
