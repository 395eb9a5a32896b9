//! Keys from environment variables, a file, or the development key of `flk up`. It names the source that was used and the
//! variables that were tried, and never prints a key.

use crate::exit::Failure;
use crate::fault;
use clap::Args;
use flk_contract::signature::{
    Algorithm, HMAC_KEY_BYTES_ADVISED, KeySetBuilder, UnknownScheme, key_text_of_file,
};
use flk_contract::{KeySet, Scheme, SigningKey};
use flk_dataplane::config::sealed::{self, AgeKeys};
use flk_dataplane::config::{SecretPath, read_once, shown_path};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where `flk up` keeps the key that it generates.
pub(crate) const DEV_KEY: &str = "data/dev.key";

const HMAC_KEY: &str = "PCS_HMAC_KEY";
const HMAC_KEYS: &str = "PCS_HMAC_KEYS";
const ED25519_PRIVATE: &str = "PCS_ED25519_PRIV_B64";
const ED25519_PUBLIC: &str = "PCS_ED25519_PUB_B64";
const ALGORITHM: &str = "PCS_SIGN_ALG";

/// Shown below the help of commands that need a key.
pub(crate) const HELP: &str = "\
Keys come from --key-file, else from the environment: PCS_HMAC_KEY (or several in PCS_HMAC_KEYS, \
separated by commas, to verify), each also in the file that PCS_HMAC_KEY_FILE or PCS_HMAC_KEYS_FILE \
names, as FILE or as FILE#ENTRY of a SOPS document; PCS_ED25519_PRIV_B64 to sign and PCS_ED25519_PUB_B64 to verify. \
If none is configured and ./data/dev.key exists (flk up makes it), that key is used.";

/// Options of commands that need a key.
#[derive(Args, Debug, Default)]
pub(crate) struct KeyArgs {
    /// Signature scheme: hmac, hmac-sha256-payload or ed25519, each also with `;num=fixed9`
    /// [default: PCS_SIGN_ALG, else hmac]
    #[arg(long, value_name = "SCHEME")]
    alg: Option<String>,
    /// File that holds the key text; one trailing newline is dropped. It may be encrypted with age (SOPS_AGE_KEY_FILE)
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// What a record is verified with.
pub(crate) enum Verifying {
    /// Signing is off: `PCS_SIGN_ALG=none`.
    Off,
    /// These keys are active.
    Keys(Keyring),
}

/// Active keys and their texts, so that a refused record can be tried under other schemes to explain the refusal.
pub(crate) struct Keyring {
    /// The keys that are active.
    pub(crate) set: KeySet,
    scheme: Scheme,
    texts: Vec<Zeroizing<String>>,
}

impl Keyring {
    fn new(scheme: Scheme, texts: Vec<Zeroizing<String>>, source: &str) -> Result<Self, Failure> {
        let set =
            set_of(scheme, &texts).map_err(|error| Failure::usage(format!("{source}: {error}")))?;
        warn_of_short(set.short_keys_count());
        Ok(Self { set, scheme, texts })
    }

    /// The same keys under every other scheme that they could be used with.
    pub(crate) fn under_other_schemes(&self) -> impl Iterator<Item = (Scheme, KeySet)> + '_ {
        let is_ed25519 = |scheme: Scheme| scheme.algorithm == Algorithm::Ed25519;
        Scheme::ALL
            .into_iter()
            .filter(move |&other| {
                other != self.scheme && is_ed25519(other) == is_ed25519(self.scheme)
            })
            .filter_map(|other| Some((other, set_of(other, &self.texts).ok()?)))
    }
}

fn set_of(scheme: Scheme, texts: &[Zeroizing<String>]) -> Result<KeySet, flk_contract::KeyError> {
    let add = |set: KeySetBuilder, text: &Zeroizing<String>| set.add(scheme, text);
    texts.iter().try_fold(KeySet::builder(), add)?.build()
}

impl KeyArgs {
    /// Whether any of them was typed.
    pub(crate) fn is_given(&self) -> bool {
        self.alg.is_some() || self.key_file.is_some()
    }

    /// The key to sign with.
    pub(crate) fn signing(&self, env: &Env<'_>) -> Result<SigningKey, Failure> {
        let Some(scheme) = self.scheme(env)? else {
            return Err(Failure::usage(format!(
                "{ALGORITHM}=none means that records are not signed; submit them as they are"
            )));
        };
        let (text, source) = self.signing_text(scheme, env)?;
        if scheme.algorithm != Algorithm::Ed25519 {
            warn_of_short(usize::from(text.len() < HMAC_KEY_BYTES_ADVISED));
        }
        SigningKey::from_text(scheme, &text)
            .map_err(|error| Failure::usage(format!("{source}: {error}")))
    }

    /// The key of this file to sign with, under the same scheme.
    pub(crate) fn signing_of_file(
        &self,
        path: &Path,
        env: &Env<'_>,
    ) -> Result<SigningKey, Failure> {
        let of_file = Self {
            alg: self.alg.clone(),
            key_file: Some(path.to_owned()),
        };
        of_file.signing(env)
    }

    fn signing_text(&self, scheme: Scheme, env: &Env<'_>) -> Result<(Secret, String), Failure> {
        if let Some(path) = &self.key_file {
            return Ok((
                read_key(path, None, &age_keys())?,
                path.display().to_string(),
            ));
        }
        let name = match scheme.algorithm {
            Algorithm::Ed25519 => ED25519_PRIVATE,
            Algorithm::HmacSha256 | Algorithm::HmacSha256Payload => HMAC_KEY,
        };
        if let Some(text) = env.get(name)? {
            return Ok((text, name.to_owned()));
        }
        if name == HMAC_KEY && env.get(HMAC_KEYS)?.is_some() {
            return Err(Failure::usage(format!(
                "{HMAC_KEYS} lists the keys to verify with; set {HMAC_KEY} to the one to sign with"
            )));
        }
        dev_key(scheme).unwrap_or_else(|| Err(nothing_configured(&[name])))
    }

    /// The keys to verify with.
    pub(crate) fn verifying(&self, env: &Env<'_>) -> Result<Verifying, Failure> {
        let Some(scheme) = self.scheme(env)? else {
            return Ok(Verifying::Off);
        };
        if let Some(path) = &self.key_file {
            let text = read_key(path, None, &age_keys())?;
            let keyring = Keyring::new(scheme, vec![text], &path.display().to_string());
            return keyring.map(Verifying::Keys);
        }
        let names: &[&str] = match scheme.algorithm {
            Algorithm::Ed25519 => &[ED25519_PUBLIC],
            Algorithm::HmacSha256 | Algorithm::HmacSha256Payload => &[HMAC_KEY, HMAC_KEYS],
        };
        let mut texts = Vec::new();
        for &name in names {
            if let Some(text) = env.get(name)? {
                // a single HMAC key may hold commas
                match name {
                    HMAC_KEY => texts.push(text),
                    _ => texts.extend(text.split(',').map(|it| Zeroizing::new(it.to_owned()))),
                }
            }
        }
        if texts.is_empty() && scheme.algorithm == Algorithm::Ed25519 {
            texts.extend(public_of_private(scheme, env)?);
        }
        let source = names.join(", ");
        let (texts, source) = match texts.is_empty() {
            false => (texts, source),
            true => match dev_key(scheme) {
                Some(key) => key.map(|(text, source)| (vec![text], source))?,
                None => return Err(nothing_configured(names)),
            },
        };
        Keyring::new(scheme, distinct(texts), &source).map(Verifying::Keys)
    }

    /// The scheme of all keys; none where signing is off.
    fn scheme(&self, env: &Env<'_>) -> Result<Option<Scheme>, Failure> {
        let (text, name) = match &self.alg {
            Some(text) => (text.clone(), "--alg"),
            None => match env.get(ALGORITHM)? {
                Some(text) => (text.to_string(), ALGORITHM),
                None => return Ok(Some(Scheme::default())),
            },
        };
        if text == "none" {
            return Ok(None);
        }
        let wrong = |error: UnknownScheme| {
            Failure::usage(format!(
                "{name} is `{text}`, but {error}; `none` means unsigned"
            ))
        };
        text.parse().map(Some).map_err(wrong)
    }
}

/// The private Ed25519 key of the file of `--ed25519-key-file`, else of the environment, whatever scheme is configured.
pub(crate) fn ed25519_signing(
    path: Option<&PathBuf>,
    env: &Env<'_>,
) -> Result<SigningKey, Failure> {
    if path.is_none() && env.get(ED25519_PRIVATE)?.is_none() {
        return Err(Failure::usage(format!(
            "no Ed25519 key is configured: set {ED25519_PRIVATE}, or give --ed25519-key-file"
        )));
    }
    let keys = KeyArgs {
        alg: Some(Algorithm::Ed25519.as_str().to_owned()),
        key_file: path.cloned(),
    };
    keys.signing(env)
}

/// Warns of short keys, as a gateway does at its start.
fn warn_of_short(keys_count: usize) {
    if keys_count > 0 {
        eprintln!(
            "flk: warning: {keys_count} HMAC key(s) shorter than the advised {HMAC_KEY_BYTES_ADVISED} bytes"
        );
    }
}

/// The text of a key; wiped when it is dropped.
type Secret = Zeroizing<String>;

/// The same key twice is one key.
fn distinct(texts: Vec<Secret>) -> Vec<Secret> {
    let mut distinct: Vec<Secret> = Vec::with_capacity(texts.len());
    for text in texts {
        if distinct
            .iter()
            .all(|earlier| earlier.as_str() != text.as_str())
        {
            distinct.push(text);
        }
    }
    distinct
}

/// The public key of the agent's own private key, so that an agent can verify its records.
fn public_of_private(scheme: Scheme, env: &Env<'_>) -> Result<Option<Secret>, Failure> {
    let Some(text) = env.get(ED25519_PRIVATE)? else {
        return Ok(None);
    };
    match SigningKey::from_text(scheme, &text) {
        Ok(key) => Ok(key.public_key_base64().map(Zeroizing::new)),
        Err(error) => Err(Failure::usage(format!("{ED25519_PRIVATE}: {error}"))),
    }
}

/// What opens encrypted files: the variables that SOPS has, too.
pub(crate) fn age_keys() -> AgeKeys {
    AgeKeys::of_environment(&|name| std::env::var(name).ok())
}

/// The file that the variable of a secret names, and the entry of it, as the gateway takes them.
pub(crate) fn place_of(typed: &OsStr) -> SecretPath {
    match typed.to_str() {
        Some(text) => SecretPath::typed(text),
        None => SecretPath::new(typed, None),
    }
}

/// The text of a key file, which may be encrypted; of a SOPS document the value of this entry.
pub(crate) fn read_key(
    path: &Path,
    entry: Option<&str>,
    keys: &AgeKeys,
) -> Result<Secret, Failure> {
    let shown = shown_path(path);
    read_secret(path, entry, keys)
        .map_err(|problem| Failure::usage(format!("cannot read the key file {shown}: {problem}")))
}

/// The same of any file of a secret; what is wrong with it, in words.
pub(crate) fn read_secret(
    path: &Path,
    entry: Option<&str>,
    keys: &AgeKeys,
) -> Result<Secret, String> {
    let bytes = read_once(path).map_err(|error| fault::why_unread(&error))?;
    let opened = sealed::open(bytes, entry, keys).map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(&opened).map_err(|_| "it is not UTF-8".to_owned())?;
    sealed::refuse_sealed(text)?;
    Ok(Zeroizing::new(key_text_of_file(text).to_owned()))
}

/// The development key, where there is one and the scheme can use it.
fn dev_key(scheme: Scheme) -> Option<Result<(Secret, String), Failure>> {
    let path = Path::new(DEV_KEY);
    if scheme.algorithm == Algorithm::Ed25519 || !path.exists() {
        return None;
    }
    eprintln!("flk: no key is configured; using the development key ./{DEV_KEY}");
    let text = read_key(path, None, &AgeKeys::default());
    Some(text.map(|text| (text, DEV_KEY.to_owned())))
}

fn nothing_configured(names: &[&str]) -> Failure {
    let dev_key = match names.contains(&HMAC_KEY) {
        true => format!(" (flk up makes a development key, ./{DEV_KEY})"),
        false => String::new(),
    };
    Failure::usage(format!(
        "no key is configured: set {}, or give --key-file{dev_key}",
        names.join(" or ")
    ))
}

/// Environment variables, as a function, so that tests need not change those of the process.
pub(crate) struct Env<'a>(pub(crate) &'a dyn Fn(&str) -> Option<OsString>);

impl Env<'static> {
    /// Those of the process.
    pub(crate) fn of_process() -> Self {
        Self(&|name| std::env::var_os(name))
    }
}

impl Env<'_> {
    fn get(&self, name: &str) -> Result<Option<Secret>, Failure> {
        let Some(value) = (self.0)(name) else {
            return self.of_file(name);
        };
        match value.into_string() {
            // an empty text counts as not set, as it does for the gateway
            Ok(text) if text.is_empty() => self.of_file(name),
            Ok(text) => {
                let text = Zeroizing::new(text);
                sealed::refuse_sealed(&text)
                    .map_err(|problem| Failure::usage(format!("{name}: {problem}")))?;
                Ok(Some(text))
            }
            Err(_) => Err(Failure::usage(format!("{name} is not valid UTF-8"))),
        }
    }

    /// The key of the file that `NAME_FILE` names, as the gateway takes it.
    fn of_file(&self, name: &str) -> Result<Option<Secret>, Failure> {
        if ![HMAC_KEY, HMAC_KEYS].contains(&name) {
            return Ok(None);
        }
        let typed = (self.0)(&format!("{name}_FILE")).filter(|it| !it.is_empty());
        let place = typed.map(|typed| place_of(&typed));
        place
            .map(|it| read_key(&it.path, it.entry.as_deref(), &age_keys()))
            .transpose()
    }
}
