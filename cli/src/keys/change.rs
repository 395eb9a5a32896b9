//! How a change of keys goes: the file is held, changed in memory, checked as a gateway checks it, and only then replaced. A
//! change that is wrong leaves the file as it was.

use super::checked::{self, Checked};
use super::document::{Document, Key, NoTenant};
use super::list::{self, Counts};
use super::store::{Held, Unwritten};
use super::{FileArgs, now_s};
use crate::CommandResult;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Output};
use clap::Args;
use flk_dataplane::config::sealed::AgeKeys;
use flk_dataplane::config::{Flags, RawConfig, VARIABLES, Variable, units};
use flk_dataplane::snapshot::Source;
use serde_json::json;
use similar::TextDiff;
use std::path::Path;

/// Options of all changes.
#[derive(Args, Debug)]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Show the lines that would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// A file that is being changed.
pub(super) struct Change {
    held: Held,
    pub(super) document: Document,
    pub(super) now_s: u64,
    /// What to mind, in sentences.
    pub(super) warnings: Vec<String>,
}

impl Change {
    /// Holds the file.
    pub(super) fn begin(args: &ChangeArgs) -> Result<Change, Failure> {
        let held = Held::open(&args.file.file)?;
        let Some(document) = Document::parse(&held.text) else {
            let other =
                "it cannot be changed here: it has a form of TOML that this flk does not know";
            let failure = checked::check(&held.named, &held.text).err();
            return Err(failure.unwrap_or_else(|| Failure::with(Exit::Configuration, other)));
        };
        Ok(Change {
            held,
            document,
            now_s: now_s()?,
            warnings: Vec::new(),
        })
    }

    /// The keys of a tenant.
    pub(super) fn keys(&self, tenant: &str) -> Result<Vec<Key>, Failure> {
        self.document
            .keys(tenant)
            .ok_or_else(|| self.no_tenant(tenant))
    }

    /// Does something to the document.
    pub(super) fn edit(
        &mut self,
        tenant: &str,
        edit: impl FnOnce(&mut Document) -> Result<(), NoTenant>,
    ) -> Result<(), Failure> {
        edit(&mut self.document).map_err(|NoTenant| self.no_tenant(tenant))
    }

    /// What to do about a tenant that the file does not have.
    fn no_tenant(&self, tenant: &str) -> Failure {
        let file = self.held.named.display();
        if tenant == "default" {
            return Failure::usage(format!(
                "{file} has no tenant default: its keys are those of PCS_HMAC_KEY and the other variables, which no file \
                 can change. Give it a place in the file, with the key that it has now:\n\
                 \x20 flk keys add default --new-tenant --id first --env PCS_HMAC_KEY --config {file}\n\
                 (or --key-file with the file of PCS_HMAC_KEY_FILE), which writes\n\
                 \x20 [[tenants]]\n\x20 id = \"default\"\n\x20 [[tenants.keys]]\n\x20 id = \"first\"\n\x20 env = \"PCS_HMAC_KEY\"\n\
                 From then on the file's keys count for it and those of other variables do not. Then repeat this command."
            ));
        }
        let names = self.document.tenants();
        let there_are = match names.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has {}", names.join(", ")),
        };
        Failure::usage(format!(
            "{file} has no tenant {tenant}; {there_are} (flk keys add {tenant} --new-tenant … makes one)"
        ))
    }

    /// How long an outcome answers duplicates, as this file and the environment say.
    pub(super) fn dedup_ttl_s(&self) -> u64 {
        const DEFAULT_S: u64 = 14 * 86_400;
        let raw = self.settings();
        let typed = raw.text(Variable::DedupTtl);
        typed.and_then(units::seconds).unwrap_or(DEFAULT_S)
    }

    /// What opens encrypted files, as this file and the environment say.
    pub(super) fn age_keys(&self) -> AgeKeys {
        self.settings().age_keys().clone()
    }

    /// What this file and the environment say. A mistake is found when the result is checked.
    fn settings(&self) -> RawConfig {
        let flags = Flags {
            file: Some(self.held.named.display().to_string()),
            settings: Vec::new(),
        };
        let env = |name: &str| std::env::var(name).ok();
        RawConfig::read_all(&env, &flags).0
    }

    /// Warns if a gateway that runs already may not have the new key: it can read what it could read at its start.
    pub(super) fn look_at_place(&mut self, new: &Source) {
        let tenants = self.document.tenants();
        let keys = tenants.iter().filter_map(|it| self.document.keys(it));
        let used: Vec<Source> = keys.flatten().filter_map(|key| key.source).collect();
        let warning = match new {
            Source::File { path, .. } => {
                let directory = |path: &Path| path.parent().map(Path::to_owned);
                let own = std::path::absolute(&self.held.named).unwrap_or_default();
                let used = used.iter().filter_map(|source| match source {
                    Source::File { path, .. } => directory(Path::new(path)),
                    Source::Environment { .. } | Source::Public { .. } => None,
                });
                let wanted = directory(Path::new(path)).unwrap_or_default();
                match used.chain(directory(&own)).any(|it| wanted.starts_with(it)) {
                    true => return,
                    false => format!(
                        "no other key is in {}: a gateway that runs already may not read files there (sandbox), and refuses \
                         the change then; put the key beside the others, or restart the gateway",
                        wanted.display()
                    ),
                }
            }
            Source::Environment { variable, .. } => {
                let is_setting = VARIABLES.iter().any(|it| it.name() == variable);
                match is_setting || used.contains(new) {
                    true => return,
                    false => format!(
                        "no other key is in {variable}: a gateway that runs already does not have it, and refuses the change; \
                         restart the gateway with it"
                    ),
                }
            }
            Source::Public { .. } => return,
        };
        self.warnings.push(warning);
    }

    /// Checks the result, replaces the file and says what holds now.
    pub(super) fn finish(mut self, args: &ChangeArgs, tenant: &str) -> CommandResult {
        let text = self.document.text();
        let checked = checked::check(&self.held.named, &text).map_err(|failure| {
            let said = format!("nothing was changed: {}", failure.text());
            Failure::with(failure.exit(), said)
        })?;
        self.warn_of(&checked, tenant);
        let is_same = text == self.held.text;
        let written = match is_same || args.dry_run {
            true => Ok(()),
            false => self.held.replace(&text),
        };
        let (shows_lines, failure) = match written {
            Ok(()) => (args.dry_run, None),
            Err(Unwritten::ReadOnly(why)) => {
                let said = format!("{why}; change these lines where the file comes from");
                (true, Some(Failure::with(Exit::File, said)))
            }
            Err(Unwritten::Failed(failure)) => return Err(failure),
        };
        let is_changed = !is_same && !shows_lines;
        let diff = shows_lines.then(|| self.diff(&text));
        self.say(args, tenant, &checked, is_changed, diff)?;
        match failure {
            Some(failure) => Err(failure),
            None => Ok(Exit::Yes),
        }
    }

    fn diff(&self, text: &str) -> String {
        let file = self.held.named.display().to_string();
        TextDiff::from_lines(&self.held.text, text)
            .unified_diff()
            .context_radius(3)
            .header(&file, &file)
            .to_string()
    }

    fn warn_of(&mut self, checked: &Checked, tenant: &str) {
        for ((of, key), source) in &checked.unchecked {
            if of == tenant {
                self.warnings.push(format!(
                    "key {key} was not looked at: {source} cannot be read here"
                ));
            }
        }
        let now_s = self.now_s;
        let rows = list::rows(checked);
        let mut own = rows.iter().filter(|row| row.tenant == tenant);
        if !own.any(|row| row.times.state(now_s).is_active()) {
            self.warnings.push(format!(
                "no key of {tenant} is active: every record of it is refused with 401"
            ));
        }
    }

    fn say(
        &self,
        args: &ChangeArgs,
        tenant: &str,
        checked: &Checked,
        is_changed: bool,
        diff: Option<String>,
    ) -> Result<(), Failure> {
        let mut rows = list::rows(checked);
        rows.retain(|row| row.tenant == tenant);
        let file = self.held.named.display();
        let mut output = Output::new();
        if args.output == Format::Json {
            let keys: Vec<_> = rows.iter().map(|row| row.json(self.now_s)).collect();
            let said = json!({
                "file": file.to_string(), "tenant": tenant, "changed": is_changed,
                "keys": keys, "warnings": self.warnings, "diff": diff,
            });
            output.line(said.to_string())?;
            return output.flush();
        }
        for warning in &self.warnings {
            eprintln!("flk: warning: {warning}");
        }
        match diff {
            Some(diff) if diff.is_empty() => output.line("nothing would change")?,
            Some(diff) => output.line(diff.trim_end())?,
            None if is_changed => {
                output.line(format!("changed {file}; the keys of {tenant} are now"))?;
                list::table(&mut output, &rows, self.now_s, Counts::Unknown)?;
                output.line(format!(
                    "flk-control brings this into force by itself, or at once by flk config reload; a gateway that never had it, at its next start.\n\
                     To see that it is: flk config history; flk keys list --config {file} --url http://GATEWAY"
                ))?;
            }
            None => output.line(format!("nothing to change in {file}"))?,
        }
        output.flush()
    }
}
