//! `flk config init`: a file with every setting, its default and what is allowed. Nothing in it is in force until it is
//! changed.

use crate::CommandResult;
use crate::exit::{CONFIG_INIT_CODES, Exit, Failure};
use crate::fault;
use crate::output::Output;
use clap::Args;
use flk_dataplane::config::{VARIABLES, Variable};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  $ flk config init
  $ flk config init /tmp/flk-example.toml --force
  $ flk config init - | grep keepalive";

/// Options of `flk config init`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{CONFIG_INIT_CODES}"))]
pub(crate) struct InitArgs {
    /// The file to write; - for standard output
    #[arg(default_value = "flk.toml")]
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &InitArgs) -> CommandResult {
    let text = template();
    let mut output = Output::new();
    if args.file.as_os_str() == "-" {
        output.line(text.trim_end())?;
        output.flush()?;
        return Ok(Exit::Yes);
    }
    write(args, &text)?;
    let path = args.file.display();
    output.line(format!(
        "wrote {path}; flk-dataplane --config {path} starts with it once it has a signing key"
    ))?;
    output.flush()?;
    Ok(Exit::Yes)
}

/// Only the owner may read it: it will name where secrets are.
fn write(args: &InitArgs, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    match args.force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let written = options
        .open(&args.file)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    let path = args.file.display();
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format!(
            "{path} is there already: name another file, or give --force"
        )),
        _ => Failure::with(
            Exit::File,
            format!("cannot write {path}: {}", fault::why(&error)),
        ),
    })
}

/// The file: sections in the order of the settings, each setting behind a comment.
pub(super) fn template() -> String {
    let mut text = "\
# Configuration of a flk gateway. A line that begins with # says what holds anyway, unless a profile says otherwise. This file
# outweighs the profile, variables of the environment outweigh this file, and arguments outweigh them all; flk config check names
# every mistake.
"
    .to_owned();
    let section = |variable: &Variable| variable.key().split_once('.').map_or("", |it| it.0);
    let mut sections: Vec<&str> = Vec::new();
    for variable in VARIABLES {
        if !sections.contains(&section(variable)) {
            sections.push(section(variable));
        }
    }
    for name in sections {
        text.push_str(&format!("\n[{name}]\n"));
        for &variable in VARIABLES.iter().filter(|it| section(it) == name) {
            text.push_str(&entry(variable));
        }
    }
    text + TENANTS
}

/// Tenants stand in tables of their own, at the end.
const TENANTS: &str = r#"
# Tenants besides that of requests that name none. Their keys are best changed by flk keys.
# [[tenants]]
# id = "acme"
# rate = 1000                            # requests per second; also burst, bytes_per_second, unauthenticated_bytes_per_second
# wal_share = 50                         # percent of a waiting batch of the log that its bodies may fill
# home = "eu-1"                          # reserved, without effect
# [[tenants.keys]]
# id = "2026-11"
# scheme = "hmac-sha256"
# file = "/etc/flk/keys/acme-2026-11"    # or env = "NAME", or public = "BASE64" for an Ed25519 public key
# not_before = 2026-11-01T00:00:00Z      # also not_after, revoked_at
# [[tenants.params]]
# version = "1"                          # what is not said has its default; also share, in thousandths
# [[tenants.params]]
# version = "2"
# tol_d = 0.2
# effective_from = 2026-12-01T00:00:00Z  # from then on this set judges, before it the other one
"#;

fn entry(variable: Variable) -> String {
    let key = variable.key().split_once('.').map_or("", |it| it.1);
    let (about, allowed, default) = (variable.about(), variable.allowed(), variable.default());
    let name = variable.name();
    let secret = match variable.is_secret() {
        true => " Here: the path of a file that holds it.",
        false => "",
    };
    let value = match is_value(default) {
        true if default.bytes().all(|it| it.is_ascii_digit()) => default.to_owned(),
        true => format!("\"{default}\""),
        false => "\"\"".to_owned(),
    };
    let default = match is_value(default) {
        true => String::new(),
        false => format!("# Default: {default}.\n"),
    };
    format!("# {about}{secret} ({name})\n# Allowed: {allowed}.\n{default}#{key} = {value}\n")
}

/// Whether a default is a value, and not a sentence about one.
pub(super) fn is_value(default: &str) -> bool {
    !default.contains(' ')
}
