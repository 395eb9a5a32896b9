//! The variables by name, their texts, and the parsing of numbers, sizes and durations.

use super::error::ConfigError;
use super::units;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

macro_rules! variables {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $secret:literal $default:literal $allowed:literal;)*) => {
        /// A setting of the data plane.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Variable {
            $($(#[doc = $doc])* $variant,)*
        }

        /// All settings.
        pub const VARIABLES: &[Variable] = &[$(Variable::$variant,)*];

        impl Variable {
            /// Name in the environment.
            pub fn name(self) -> &'static str {
                match self { $(Variable::$variant => $name,)* }
            }

            /// Whether its value is a secret and never shown.
            pub fn is_secret(self) -> bool {
                match self { $(Variable::$variant => $secret,)* }
            }

            /// The default, in words.
            pub fn default(self) -> &'static str {
                match self { $(Variable::$variant => $default,)* }
            }

            /// What is allowed, in words.
            pub fn allowed(self) -> &'static str {
                match self { $(Variable::$variant => $allowed,)* }
            }
        }
    };
}

variables! {
    /// Port to listen on.
    Port "PORT" false "8080" "0 to 65535 (0: any free port, printed at start)";
    /// Address to listen on.
    Listen "LISTEN" false "127.0.0.1" "an IPv4 or IPv6 address, e.g. 127.0.0.1, 0.0.0.0 or [::]";
    /// Directory of all durable state.
    WalDir "WAL_DIR" false "data/wal" "a directory that this process may write; it is made if it is not there";
    /// Signature scheme of all keys given by variables.
    SignAlg "PCS_SIGN_ALG" false "hmac" "hmac, ed25519, hmac-sha256, hmac-sha256-payload, each also with ;num=fixed9, or none";
    /// One HMAC key.
    HmacKey "PCS_HMAC_KEY" true "no key" "text of at least 1 byte (32 or more are advised)";
    /// Several HMAC keys.
    HmacKeys "PCS_HMAC_KEYS" true "no keys" "1 to 4 keys separated by commas";
    /// Ed25519 public keys.
    Ed25519Pub "PCS_ED25519_PUB_B64" false "no key" "1 to 4 public keys, each 32 bytes as standard base64 (44 characters), separated by commas";
    /// Opt-in to unsigned operation.
    AllowUnsigned "FLK_ALLOW_UNSIGNED" false "not set" "1, together with PCS_SIGN_ALG=none, or not set";
    /// Requests per second for the process.
    TokenRate "TOKEN_RATE" false "0" "requests per second for the whole process, 0 (unlimited) to 4294967295";
    /// User of /metrics.
    MetricsUser "METRICS_USER" false "no user" "a user name without a colon, together with METRICS_PASS";
    /// Password of /metrics.
    MetricsPass "METRICS_PASS" true "no password" "a password, together with METRICS_USER";
    /// Where dedup state lives.
    DedupBackend "DEDUP_BACKEND" false "memory" "memory";
    /// CPUs of the shards.
    Cores "FLK_CORES" false "all allowed CPUs" "a count (2) or a list of CPUs (0,2-3) within what the process may use";
    /// Driver.
    Driver "FLK_DRIVER" false "auto" "auto, uring or portable";
    /// How long an outcome answers duplicates.
    DedupTtl "DEDUP_TTL" false "14d" "1s to 1000d, as a number with s, m, h or d";
    /// Memory of the dedup tables.
    DedupMemoryMax "DEDUP_MEMORY_MAX" false "a quarter of the memory that the process may use, at most 1GiB" "1MiB to 16TiB, as a number with B, KiB, MiB, GiB or TiB";
    /// Bytes of log segments.
    WalMaxBytes "WAL_MAX_BYTES" false "80 % of the file system" "64MiB to 1PiB, as a number with B, KiB, MiB, GiB or TiB";
    /// Age of log segments.
    WalMaxAge "WAL_MAX_AGE" false "14d" "1m to 10000d, as a number with s, m, h or d";
    /// Length of a log segment.
    SegmentBytes "WAL_SEGMENT_BYTES" false "4MiB to 64MiB, by WAL_MAX_BYTES and the number of shards" "4MiB to 1GiB, a multiple of 4KiB";
    /// Time between SIGTERM and the closing of the listeners.
    DrainDelay "FLK_DRAIN_DELAY" false "0s" "0s to 1h, as a number with s, m or h";
    /// How long a connection without a request stays open.
    HttpKeepalive "HTTP_KEEPALIVE" false "75s" "1s to 1h, as a number with s, m or h";
    /// Largest request body.
    BodyMax "FLK_BODY_MAX" false "1MiB" "1KiB to 1MiB";
}

/// The texts of all variables that are set.
pub struct RawConfig {
    texts: Vec<Option<String>>,
}

impl std::fmt::Debug for RawConfig {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = VARIABLES.iter().filter_map(|&variable| {
            let text = self.text(variable)?;
            Some((
                variable.name(),
                if variable.is_secret() {
                    "(secret)"
                } else {
                    text
                },
            ))
        });
        out.debug_map().entries(shown).finish()
    }
}

impl RawConfig {
    /// Reads all variables; an empty text counts as not set.
    pub fn read(env: &dyn Fn(&str) -> Option<String>) -> RawConfig {
        let text = |variable: &Variable| env(variable.name()).filter(|text| !text.is_empty());
        RawConfig {
            texts: VARIABLES.iter().map(text).collect(),
        }
    }

    /// Refuses environment variables that are not UTF-8. They would count as not set, and the gateway would silently run with
    /// defaults.
    ///
    /// # Errors
    /// The first variable whose value is not text.
    pub fn refuse_other_than_text() -> Result<(), ConfigError> {
        let is_other = |variable: &&Variable| {
            std::env::var_os(variable.name()).is_some_and(|value| value.to_str().is_none())
        };
        match VARIABLES.iter().find(is_other) {
            Some(variable) => Err(ConfigError {
                variable: variable.name(),
                value: None,
                problem: "not UTF-8".to_owned(),
                allowed: variable.allowed(),
            }),
            None => Ok(()),
        }
    }

    /// The text of a variable, if it is set.
    pub fn text(&self, variable: Variable) -> Option<&str> {
        self.texts.get(variable as usize)?.as_deref()
    }

    /// An error about this variable.
    pub fn error(&self, variable: Variable, problem: impl Display) -> ConfigError {
        let value = self
            .text(variable)
            .filter(|_| !variable.is_secret())
            .map(str::to_owned);
        ConfigError {
            variable: variable.name(),
            value,
            problem: problem.to_string(),
            allowed: variable.allowed(),
        }
    }

    /// Parses a variable; `problem` is the error text.
    pub(super) fn parsed<T: FromStr>(
        &self,
        variable: Variable,
        default: &str,
        problem: &str,
    ) -> Result<T, ConfigError> {
        let text = self.text(variable).unwrap_or(default);
        text.trim()
            .parse()
            .map_err(|_| self.error(variable, problem))
    }

    /// A variable as a number of bytes within bounds.
    pub(super) fn size(
        &self,
        variable: Variable,
        default: &str,
        bounds: RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let bytes = units::bytes(self.text(variable).unwrap_or(default));
        self.within(variable, bytes, bounds)
    }

    /// A variable as a number of seconds within bounds.
    pub(super) fn duration(
        &self,
        variable: Variable,
        default: &str,
        bounds: RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let seconds = units::seconds(self.text(variable).unwrap_or(default));
        self.within(variable, seconds, bounds)
    }

    fn within(
        &self,
        variable: Variable,
        value: Option<u64>,
        bounds: RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        match value {
            Some(value) if bounds.contains(&value) => Ok(value),
            Some(_) => Err(self.error(variable, "out of bounds")),
            None => Err(self.error(variable, "not a number with a unit")),
        }
    }
}
