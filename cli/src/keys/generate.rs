//! `flk keys generate`: a new key from the kernel's random numbers. The secret part goes into a file that only its owner can
//! read, and is printed only on demand.

use super::alg::Alg;
use super::document::Document;
use super::emit::{self, Form, Parts};
use super::now_s;
use super::source::public_part;
use super::store::create;
use crate::CommandResult;
use crate::args::tenant;
use crate::exit::{Exit, Failure, KEYS_GENERATE_CODES};
use crate::fault;
use crate::output::{Format, Output};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use flk_contract::signature::VerifyingKey;
use flk_contract::{NumberForm, Scheme, SigningKey};
use flk_dataplane::config::sealed::age::{self, AgeError, Recipient};
use flk_dataplane::config::{FILE_VARIABLE, text_of_file, time};
use flk_dataplane::logs::redact::holds_identity;
use serde_json::json;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Random bytes of a key.
const KEY_BYTES: usize = 32;

const EXAMPLES: &str = "\
Examples:
  $ flk keys generate --out next.key
  $ flk keys generate --encrypt-to \"$(cat recipient.txt)\" --out acme-2027.age
  $ flk keys generate --alg ed25519 --tenant acme
  $ flk keys generate --alg ed25519 --tenant beta --emit k8s > beta-keys.yaml
  $ flk keys generate --alg ed25519 --emit env --show-secret > agent.env";

const NOTES: &str = "\
An HMAC key is one file, for agents and gateway. An Ed25519 key is two: .private for the agent alone, .public for the \
gateway. The secret part has mode 600. With --encrypt-to it is encrypted with age before it is written (armored; \
age-keygen makes identities and prints their recipients), and is in no file as it is. With --emit the manifest is printed with a placeholder for it, and with \
--show-secret with the secret itself, which is then in no file but that of --out.";

/// Options of `flk keys generate`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = format!("{NOTES}\n\n{KEYS_GENERATE_CODES}"))]
pub(crate) struct GenerateArgs {
    /// Kind of key
    #[arg(long, value_enum, default_value_t = Alg::Hmac)]
    alg: Alg,
    /// Tenant that it is for
    #[arg(long, default_value = "default", value_parser = tenant)]
    tenant: String,
    /// Print what an orchestrator wants
    #[arg(long, value_enum)]
    emit: Option<Form>,
    /// Print the secret part in it
    #[arg(long, requires = "emit", conflicts_with = "output")]
    show_secret: bool,
    /// age recipient (age1…) that the secret part is encrypted to; repeatable
    #[arg(long, value_name = "RECIPIENT", value_parser = recipient, conflicts_with = "show_secret")]
    encrypt_to: Vec<Recipient>,
    /// File of the secret part [default: TENANT-hmac-DATE.secret or TENANT-ed25519-DATE.private, with .age behind it if it is
    /// encrypted]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Configuration file that the key is for: the next command is named for it
    #[arg(long = "config", value_name = "FILE", env = FILE_VARIABLE)]
    config: Option<PathBuf>,
    /// How to say what was made
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "emit")]
    output: Format,
}

/// Reads an age recipient.
pub(crate) fn recipient(text: &str) -> Result<Recipient, String> {
    text.parse().map_err(|error: AgeError| match holds_identity(text) {
        true => "it is an identity, which stays secret, and no recipient: age-keygen -y prints its recipient".to_owned(),
        false => error.to_string(),
    })
}

impl GenerateArgs {
    /// Whether the secret part is encrypted before it is written.
    fn is_sealed(&self) -> bool {
        !self.encrypt_to.is_empty()
    }
}

/// A key that was made.
struct Made {
    secret: Zeroizing<String>,
    /// None: HMAC has none.
    public: Option<String>,
    fingerprint: String,
}

pub(super) fn run(args: &GenerateArgs) -> CommandResult {
    let date = time::show(now_s()?);
    let date = &date[..date.len().min(10)];
    let made = make(args.alg)?;
    let kept = match (&args.out, args.show_secret) {
        (None, true) => None,
        (Some(path), _) => Some(path.clone()),
        (None, false) => Some(default_path(args, date)),
    };
    let public_path = kept.as_deref().map(public_part);
    let public_path = public_path.filter(|_| made.public.is_some());
    if public_path.is_some() && public_path == kept {
        return Err(Failure::usage(
            "--out names the file of the private part, and .public is the end of the other one",
        ));
    }
    if let Some(path) = &kept {
        create(path, 0o600, &written(args, &made)?)?;
    }
    if let (Some(path), Some(public)) = (&public_path, &made.public) {
        create(path, 0o644, &format!("{public}\n"))?;
    }
    let mut output = Output::new();
    match args.emit {
        Some(form) => {
            let placeholder = match &kept {
                Some(path) if args.is_sealed() => {
                    format!("<the text of `age -d {}`>", path.display())
                }
                Some(path) => format!("<the text of {}>", path.display()),
                None => String::new(),
            };
            let parts = Parts {
                alg: args.alg,
                tenant: &args.tenant,
                fingerprint: &made.fingerprint,
                date,
                secret: match args.show_secret {
                    true => &made.secret,
                    false => &placeholder,
                },
                public: made.public.as_deref().unwrap_or_default(),
                next: &next(
                    args,
                    &match &made.public {
                        Some(public) => format!("--public {public}"),
                        None => format!(
                            "--key-file {}",
                            kept.as_deref().unwrap_or(Path::new("FILE")).display()
                        ),
                    },
                ),
            };
            output.line(emit::text(form, &parts).trim_end())?;
            if let Some(path) = &kept {
                let path = path.display();
                eprintln!("flk: the secret part is in {path}, which only its owner can read");
            }
        }
        None => say(
            &mut output,
            args,
            &made,
            kept.as_deref(),
            public_path.as_deref(),
        )?,
    }
    output.flush()?;
    Ok(Exit::Yes)
}

/// What the file of the secret part holds.
fn written(args: &GenerateArgs, made: &Made) -> Result<Zeroizing<String>, Failure> {
    if !args.is_sealed() {
        return Ok(made.secret.clone());
    }
    let sealed = age::seal(made.secret.as_bytes(), &args.encrypt_to);
    let sealed = sealed.map_err(|error| Failure::with(Exit::File, error.to_string()))?;
    Ok(Zeroizing::new(sealed))
}

fn default_path(args: &GenerateArgs, date: &str) -> PathBuf {
    let tenant = &args.tenant;
    let end = if args.is_sealed() { ".age" } else { "" };
    PathBuf::from(match args.alg {
        Alg::Hmac => format!("{tenant}-hmac-{date}.secret{end}"),
        Alg::Ed25519 => format!("{tenant}-ed25519-{date}.private{end}"),
    })
}

fn make(alg: Alg) -> Result<Made, Failure> {
    let seed = random()?;
    match alg {
        Alg::Hmac => {
            let mut secret = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
            for digit in seed.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
                secret.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
            let fingerprint = fingerprint(Scheme::default(), &secret)?;
            Ok(Made {
                secret,
                public: None,
                fingerprint,
            })
        }
        Alg::Ed25519 => {
            let key = SigningKey::from_seed(NumberForm::default(), &seed);
            let public = key.public_key_base64().unwrap_or_default();
            Ok(Made {
                secret: Zeroizing::new(STANDARD.encode(&seed[..])),
                fingerprint: fingerprint(key.scheme(), &public)?,
                public: Some(public),
            })
        }
    }
}

fn fingerprint(scheme: Scheme, text: &str) -> Result<String, Failure> {
    let key = VerifyingKey::from_text(scheme, text);
    let key =
        key.map_err(|error| Failure::with(Exit::File, format!("no key was made: {error}")))?;
    Ok(key.id().to_string())
}

fn random() -> Result<Zeroizing<[u8; KEY_BYTES]>, Failure> {
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    let mut filled = 0;
    while filled < KEY_BYTES {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags).map_err(|error| {
            let why = fault::why(&error.into());
            Failure::with(Exit::File, format!("no random numbers: {why}"))
        })?;
    }
    Ok(bytes)
}

/// What was made, and what to do with it. Without `--emit` there is always a file.
fn say(
    output: &mut Output,
    args: &GenerateArgs,
    made: &Made,
    kept: Option<&Path>,
    public_path: Option<&Path>,
) -> Result<(), Failure> {
    let shown = |path: Option<&Path>| path.map(|it| it.display().to_string());
    let (kept, public_path, tenant) = (shown(kept), shown(public_path), &args.tenant);
    if args.output == Format::Json {
        let said = json!({
            "tenant": tenant, "secret_file": kept, "public_file": public_path, "public": made.public,
            "fingerprint": made.fingerprint,
        });
        return output.line(said.to_string());
    }
    let kept = kept.unwrap_or_default();
    // A variable takes no encrypted text.
    let or = |variable: &str| match args.is_sealed() {
        true => "--key-file".to_owned(),
        false => format!("{variable} or --key-file"),
    };
    match (public_path, &made.public) {
        (Some(public_path), Some(public)) => output.line(format!(
            "wrote {kept}: for the agent alone, as {}\n\
             wrote {public_path}: for the gateway, {public}\n\
             fingerprint {}\n{}",
            or("PCS_ED25519_PRIV_B64"),
            made.fingerprint,
            next(args, &format!("--key-file {public_path}")).join("\n")
        )),
        _ => output.line(format!(
            "wrote {kept}: for the agents ({}) and the gateway\n\
             fingerprint {}\n{}",
            or("PCS_HMAC_KEY"),
            made.fingerprint,
            next(args, &format!("--key-file {kept}")).join("\n")
        )),
    }
}

/// Commands that bring the key to the gateway from this source. A tenant that the file has gets another key by a rotation, and one that it
/// does not have is added with this key.
fn next(args: &GenerateArgs, source: &str) -> Vec<String> {
    let (tenant, file) = (&args.tenant, args.config.as_deref());
    let text = file.and_then(|it| text_of_file(it).ok());
    let document = text.and_then(|text| Document::parse(&text));
    let shown = file.unwrap_or(Path::new("flk.toml")).display();
    let scheme = match args.alg {
        Alg::Hmac => "",
        Alg::Ed25519 => " --scheme ed25519",
    };
    let command = |verb: &str, more: &str| {
        format!("flk keys {verb} {tenant}{more} {source}{scheme} --config {shown}")
    };
    let [rotate, add] = [("rotate", ""), ("add", " --new-tenant")].map(|it| command(it.0, it.1));
    match document.map(|it| it.keys(tenant).is_some()) {
        Some(true) => vec![format!("next: {rotate}")],
        Some(false) => vec![format!("next: {add}")],
        None => vec![
            format!("next, for a new tenant: {add}"),
            format!("next, for one that has keys: {rotate}"),
        ],
    }
}
