//! `flk wal secret`: the secret that several log directories begin with. It is written into a file that only its owner can read,
//! and never printed.

use crate::CommandResult;
use crate::exit::{Exit, Failure, WAL_SECRET_CODES};
use crate::fault;
use crate::output::Output;
use clap::Args;
use flk_dataplane::wal::secret::Secret;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use zeroize::Zeroizing;

const EXAMPLES: &str = "\
Examples:
  $ flk wal secret generate --out wal.secret

A gateway makes a secret of its own at its first start. Gateways that are to be one installation begin with the same one: name \
its file in WAL_SECRET_FILE. It is copied into WAL_DIR at the first start, and no other one is taken from then on.";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a secret for new log directories
    Generate(GenerateArgs),
}

/// Options of `flk wal secret generate`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{WAL_SECRET_CODES}"))]
pub(crate) struct GenerateArgs {
    /// File that is made; one that is there already is not changed, and standard output is none
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs one of them.
pub(crate) fn run(command: &Command) -> CommandResult {
    match command {
        Command::Generate(args) => generate(args),
    }
}

fn generate(args: &GenerateArgs) -> CommandResult {
    if args.out.as_os_str() == "-" {
        return Err(Failure::usage(
            "--out -: a secret is never printed: name a file, such as --out wal.secret",
        ));
    }
    let shown = args.out.display();
    let made = make(args).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format!(
            "{shown} is there already, and a secret is never overwritten: name another file with --out"
        )),
        _ => Failure::with(
            Exit::File,
            format!("cannot make {shown}: {}", fault::why(&error)),
        ),
    });
    made?;
    let mut output = Output::new();
    output.line(format!(
        "wrote {shown}: for the first start of each gateway of one installation, as WAL_SECRET_FILE"
    ))?;
    output.flush()?;
    Ok(Exit::Yes)
}

fn make(args: &GenerateArgs) -> io::Result<()> {
    let secret = Secret {
        id: random()?,
        key: random()?,
    };
    let bytes = Zeroizing::new(secret.encode());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&args.out)?;
    let written = file.write_all(&bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // A part of a secret is none, and would stand in the way of the next attempt.
        let _ = std::fs::remove_file(&args.out);
    }
    written
}

/// A random id or key.
pub(crate) fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags)?;
    }
    Ok(bytes)
}
