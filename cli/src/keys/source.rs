//! Where a new key is, as the user says it: a file, a variable of the gateway, or the public key itself. It checks that there is
//! a key, and never shows one.

use super::document::Key;
use crate::exit::Failure;
use crate::fault;
use crate::keyring::read_key;
use clap::Args;
use flk_contract::signature::VerifyingKey;
use flk_contract::{Algorithm, Scheme};
use flk_dataplane::config::sealed::AgeKeys;
use flk_dataplane::config::{ReadError, form_of, shown_path};
use flk_dataplane::snapshot::Source;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the new key is.
#[derive(Args, Debug)]
pub(super) struct SourceArgs {
    /// File that holds the HMAC key or the Ed25519 public key; one trailing newline is dropped. It may be encrypted with age
    /// or SOPS
    #[arg(long, value_name = "FILE", group = "source")]
    key_file: Option<PathBuf>,
    /// Which value of a SOPS document it is: keys with dots between them, as in acme.current
    #[arg(long, value_name = "ENTRY", requires = "key_file", conflicts_with_all = ["variable", "public"])]
    entry: Option<String>,
    /// Variable in the environment of the gateway that holds it
    #[arg(long = "env", value_name = "NAME", group = "source")]
    variable: Option<String>,
    /// The Ed25519 public key itself, as base64
    #[arg(long, value_name = "BASE64", group = "source")]
    public: Option<String>,
    /// Path of the key file for the gateway, where it is not the one here
    #[arg(long = "as", value_name = "PATH", requires = "key_file", conflicts_with_all = ["variable", "public"])]
    path_there: Option<PathBuf>,
    /// Name of the key within its tenant [default: the date]
    #[arg(long)]
    id: Option<String>,
    /// Signature scheme: hmac, hmac-sha256-payload or ed25519, each also with `;num=fixed9` [default: that of the
    /// tenant's last key, else hmac]
    #[arg(long)]
    scheme: Option<Scheme>,
}

/// A key that is to be added.
pub(super) struct New {
    pub(super) scheme: Scheme,
    pub(super) source: Source,
    pub(super) warnings: Vec<String>,
}

impl SourceArgs {
    /// What the user said; `keys` are those that the tenant has, and `age_keys` open encrypted files.
    pub(super) fn new_key(&self, keys: &[Key], age_keys: &AgeKeys) -> Result<New, Failure> {
        let of_last = keys
            .last()
            .and_then(|key| key.scheme.parse::<Scheme>().ok());
        let (scheme, of_public) = (self.scheme.or(of_last), self.public.is_some());
        let is_ed25519 = |scheme: &Scheme| scheme.algorithm == Algorithm::Ed25519;
        let scheme = match (scheme, of_public) {
            (Some(scheme), _) if is_ed25519(&scheme) || !of_public => scheme,
            (_, true) if self.scheme.is_none() => "ed25519".parse().unwrap_or_default(),
            (_, true) => return Err(Failure::usage("--public is for Ed25519 keys only")),
            (_, false) => Scheme::default(),
        };
        match (&self.key_file, &self.variable, &self.public) {
            (Some(path), _, _) => self.of_file(path, scheme, age_keys),
            (_, Some(variable), _) => Ok(New {
                scheme,
                source: Source::variable(variable),
                warnings: Vec::new(),
            }),
            (_, _, Some(base64)) => {
                verifying(scheme, base64, "--public")?;
                let base64 = base64.clone();
                Ok(New {
                    scheme,
                    source: Source::Public { base64 },
                    warnings: Vec::new(),
                })
            }
            (None, None, None) => Err(Failure::usage(
                "where is the new key? give --key-file, --env or --public (flk keys generate makes one)",
            )),
        }
    }

    fn of_file(&self, path: &Path, scheme: Scheme, age_keys: &AgeKeys) -> Result<New, Failure> {
        let shown = shown_path(path);
        let unreadable = |error: std::io::Error| {
            let why = fault::why(&error);
            Failure::usage(format!("cannot read the key file {shown}: {why}"))
        };
        if scheme.algorithm == Algorithm::Ed25519 && is_private(path) {
            let public = public_part(path);
            return Err(Failure::usage(format!(
                "{shown} is the private part, which no gateway needs: give {}",
                public.display()
            )));
        }
        // Of a public key nothing but its text is kept.
        let is_kept = scheme.algorithm != Algorithm::Ed25519;
        if is_kept && std::fs::metadata(path).is_ok_and(|it| !it.is_file()) {
            let problem = ReadError::NotRegular;
            return Err(Failure::usage(format!(
                "cannot read the key file {shown}: {problem}"
            )));
        }
        let text = read_key(path, self.entry.as_deref(), age_keys)?;
        let key = verifying(scheme, &text, &shown)?;
        if scheme.algorithm == Algorithm::Ed25519 {
            // It is no secret: the gateway needs no file for it.
            let base64 = text.as_str().to_owned();
            return Ok(New {
                scheme,
                source: Source::Public { base64 },
                warnings: Vec::new(),
            });
        }
        let mut warnings = Vec::new();
        if key.is_short() {
            warnings.push(format!("{shown} is shorter than the advised 32 bytes"));
        }
        let mode = std::fs::metadata(path).map_err(unreadable)?.mode();
        // An encrypted file may lie anywhere.
        if mode & 0o007 != 0 && form_of(path).is_none() {
            warnings.push(format!("all users can read {shown}: chmod o= {shown}"));
        }
        let there = match &self.path_there {
            Some(there) if there.is_absolute() => there.clone(),
            Some(_) => return Err(Failure::usage("--as must be a path from the root")),
            None => std::path::absolute(path).map_err(unreadable)?,
        };
        let there = there.to_str().map(str::to_owned);
        let there = there.ok_or_else(|| Failure::usage("the path of the key is not UTF-8"))?;
        Ok(New {
            scheme,
            source: Source::entry_of(there, self.entry.clone()),
            warnings,
        })
    }

    /// The id that was given, or the date with a number behind it if that is taken.
    pub(super) fn id(&self, keys: &[Key], date: &str) -> String {
        let is_taken = |id: &str| keys.iter().any(|key| key.id == id);
        let dates = (1..).map(|number| match number {
            1 => date.to_owned(),
            _ => format!("{date}-{number}"),
        });
        let free = || dates.into_iter().find(|id| !is_taken(id));
        self.id
            .clone()
            .or_else(free)
            .unwrap_or_else(|| date.to_owned())
    }
}

/// As `flk keys generate` names the two parts.
fn is_private(path: &Path) -> bool {
    let public = public_part(path);
    path != public && public.exists()
}

/// The file of the public part beside that of the private one, encrypted or not.
pub(super) fn public_part(path: &Path) -> PathBuf {
    let is_sealed = path.extension().is_some_and(|it| it == "age");
    let named = match is_sealed {
        true => path.with_extension(""),
        false => path.to_owned(),
    };
    named.with_extension("public")
}

fn verifying(scheme: Scheme, text: &str, source: &str) -> Result<VerifyingKey, Failure> {
    VerifyingKey::from_text(scheme, text)
        .map_err(|error| Failure::usage(format!("{source}: {error}")))
}
