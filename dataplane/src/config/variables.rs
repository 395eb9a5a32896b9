//! Every setting, declared once: its names, what it is, its default and what is allowed. It reads none.

use super::secret_file::shown_path;
use std::path::Path;

/// The variable that names the configuration file. It is no setting: a file cannot name another one.
pub const FILE_VARIABLE: &str = "FLK_CONFIG";

macro_rules! variables {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $key:literal $secret:literal $default:literal $allowed:literal;)*) => {
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

            /// What it is, in words.
            pub fn about(self) -> &'static str {
                match self { $(Variable::$variant => concat!($($doc),*).trim_ascii(),)* }
            }

            /// Key in the configuration file, with its section. That of a secret names the file that holds it.
            pub fn key(self) -> &'static str {
                match self { $(Variable::$variant => $key,)* }
            }

            /// Whether its value is never shown.
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
    Port "PORT" "http.port" false "8080" "0 to 65535 (0: any free port, printed at start)";
    /// Address to listen on.
    Listen "LISTEN" "http.listen" false "127.0.0.1" "an IPv4 or IPv6 address, e.g. 127.0.0.1, 0.0.0.0 or [::]";
    /// Directory of all durable state.
    WalDir "WAL_DIR" "wal.dir" false "data/wal" "a directory that this process may write; it is made if it is not there";
    /// Group whose members may read the log.
    WalDirGroup "WAL_DIR_GROUP" "wal.dir_group" false "no group: only the user of the gateway" "a name of /etc/group or a number: a group of the user that the gateway runs as";
    /// Signature scheme of all keys given by variables.
    SignAlg "PCS_SIGN_ALG" "signing.alg" false "hmac" "hmac, ed25519, hmac-sha256, hmac-sha256-payload, each also with ;num=fixed9, or none";
    /// One HMAC key.
    HmacKey "PCS_HMAC_KEY" "signing.hmac_key_file" true "no key" "text of at least 1 byte (32 or more are advised)";
    /// Several HMAC keys.
    HmacKeys "PCS_HMAC_KEYS" "signing.hmac_keys_file" true "no keys" "1 to 4 keys separated by commas";
    /// The newer of two HMAC keys during a rotation.
    HmacKeyNew "PCS_HMAC_KEY_NEW" "signing.hmac_key_new_file" true "no key" "text of at least 1 byte (32 or more are advised)";
    /// The older of two HMAC keys during a rotation.
    HmacKeyOld "PCS_HMAC_KEY_OLD" "signing.hmac_key_old_file" true "no key" "text of at least 1 byte (32 or more are advised)";
    /// Ed25519 public keys.
    Ed25519Pub "PCS_ED25519_PUB_B64" "signing.ed25519_public" false "no key" "1 to 4 public keys, each 32 bytes as standard base64 (44 characters), separated by commas";
    /// Opt-in to unsigned operation.
    AllowUnsigned "FLK_ALLOW_UNSIGNED" "signing.allow_unsigned" false "not set" "1, together with PCS_SIGN_ALG=none, or not set";
    /// Opt-in to the tenants of TENANTS.
    MultiTenant "MULTI_TENANT" "tenancy.multi_tenant" false "0" "1, together with TENANTS, or 0";
    /// Tenants with one key each.
    Tenants "TENANTS" "tenancy.tenants_file" true "no tenants" "id:alg:key, several with commas between them: acme:hmac:secret,beta:ed25519:BASE64";
    /// Which configuration snapshot a start begins with.
    Snapshot "FLK_SNAPSHOT" "process.snapshot" false "last" "last (the newest that is stored, if there is one) or environment (these settings)";
    /// Requests per second for the process.
    TokenRate "TOKEN_RATE" "limits.rate" false "0" "requests per second for the whole process, 0 (unlimited) to 4294967295";
    /// User of /metrics.
    MetricsUser "METRICS_USER" "metrics.user" false "no user" "a user name without a colon, together with METRICS_PASS";
    /// Password of /metrics.
    MetricsPass "METRICS_PASS" "metrics.password_file" true "no password" "a password, together with METRICS_USER";
    /// Where dedup state lives.
    DedupBackend "DEDUP_BACKEND" "dedup.backend" false "memory" "memory";
    /// Profile of the machine: settings that all others outweigh.
    Profile "FLK_PROFILE" "process.profile" false "no profile" "laptop, cloud-2cpu, nvme-16core, numa-64core or network-disk, or a file: a path with a / or with .toml at its end";
    /// CPUs of the shards.
    Cores "FLK_CORES" "process.cores" false "all allowed CPUs" "a count (2) or a list of CPUs (0,2-3) within what the process may use";
    /// Driver.
    Driver "FLK_DRIVER" "process.driver" false "auto" "auto, uring or portable";
    /// Identities of age that open encrypted files of secrets.
    AgeIdentity "SOPS_AGE_KEY" "process.age_identity_file" true "no identity" "X25519 identities as age-keygen writes them (AGE-SECRET-KEY-1…), one a line";
    /// Opt-in to core dumps.
    CoreDumps "FLK_CORE_DUMPS" "process.core_dumps" false "not set" "1, or not set: no core dump is written, and only root can read the memory";
    /// Sandbox after the start.
    Sandbox "FLK_SANDBOX" "process.sandbox" false "on" "on (as far as the kernel can) or off";
    /// How long an outcome answers duplicates.
    DedupTtl "DEDUP_TTL" "dedup.ttl" false "14d" "1s to 1000d, as a number with s, m, h or d";
    /// Memory of the dedup tables.
    DedupMemoryMax "DEDUP_MEMORY_MAX" "dedup.memory_max" false "a quarter of the memory that the process may use, at most 1GiB" "1MiB to 16TiB, as a number with B, KiB, MiB, GiB or TiB";
    /// Bytes of log segments.
    WalMaxBytes "WAL_MAX_BYTES" "wal.max_bytes" false "80 % of the file system" "64MiB to 1PiB, as a number with B, KiB, MiB, GiB or TiB";
    /// Age of log segments.
    WalMaxAge "WAL_MAX_AGE" "wal.max_age" false "14d" "1m to 10000d, as a number with s, m, h or d";
    /// What becomes of segments that a hold still needs at its limits, or when room is short.
    HoldLimit "WAL_HOLD_LIMIT" "wal.hold_limit" false "release" "release (they are deleted, and what the hold lost is written down) or refuse (they stay, and submits are refused when room is short)";
    /// Length of a log segment.
    SegmentBytes "WAL_SEGMENT_BYTES" "wal.segment_bytes" false "4MiB to 64MiB, by WAL_MAX_BYTES and the number of shards" "4MiB to 1GiB, a multiple of 4KiB";
    /// File of the secret that a new WAL_DIR begins with.
    WalSecretFile "WAL_SECRET_FILE" "wal.secret_file" false "no file: a new WAL_DIR makes a secret of its own" "a file as flk wal secret generate makes it: mode 0600, or 0640 where root or the gateway's user owns it";
    /// Where this gateway runs; in the headers of its log segments.
    RegionId "REGION_ID" "process.region" false "no region" "1 to 64 characters of A-Z a-z 0-9 . _ -";
    /// How log lines are written.
    LogFormat "LOG_FORMAT" "log.format" false "text" "text (sentences) or json (one object a line)";
    /// Time between SIGTERM and the closing of the listeners.
    DrainDelay "FLK_DRAIN_DELAY" "http.drain_delay" false "0s" "0s to 1h, as a number with s, m or h";
    /// How long a connection without a request stays open.
    HttpKeepalive "HTTP_KEEPALIVE" "http.keepalive" false "75s" "1s to 1h, as a number with s, m or h";
    /// Largest request body.
    BodyMax "FLK_BODY_MAX" "http.body_max" false "1MiB" "1KiB to 1MiB";
    /// Largest body of a batch.
    BatchMaxBytes "BATCH_MAX_BYTES" "http.batch_max_bytes" false "4MiB" "1KiB to 4MiB";
    /// Most lines of a batch.
    BatchMaxRecords "BATCH_MAX_RECORDS" "http.batch_max_records" false "4096" "1 to 4096 lines";
    /// Whether clients may look outcomes up with GET /v1/pcs/{pcs_id}.
    LookUps "FLK_LOOK_UPS" "http.look_ups" false "off" "off or on: a look-up is not signed, so every client that reaches the port reads outcomes of any tenant whose name it sends";
    /// What trusted proxies send in front of connections.
    ProxyProtocol "PROXY_PROTOCOL" "http.proxy_protocol" false "off" "off, optional or required: whether a proxy of TRUSTED_PROXIES names the client by the PROXY protocol";
    /// Networks of proxies whose word on the address of a client counts.
    TrustedProxies "TRUSTED_PROXIES" "http.trusted_proxies" false "no networks" "up to 64 networks separated by commas, e.g. 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32";
    /// Share of records without a traceparent that begin a trace of their own.
    TraceSample "TRACE_SAMPLE" "traces.sample" false "0" "0 (none) to 1 (all), e.g. 0.01";
    /// Most traces that begin in a second.
    TracesPerSecondMax "TRACES_PER_SECOND_MAX" "traces.per_second_max" false "100" "0 (nothing is traced) to 10000, for the whole process";
    /// Where flk-control sends spans by OTLP.
    OtlpEndpoint "OTEL_EXPORTER_OTLP_ENDPOINT" "traces.otlp_endpoint" false "spans are not sent" "an http:// address of a collector, e.g. http://127.0.0.1:4318; /v1/traces is added";
    /// Where flk-control sends spans by OTLP, with the whole path; it outweighs the one before.
    OtlpTracesEndpoint "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" "traces.otlp_traces_endpoint" false "as OTEL_EXPORTER_OTLP_ENDPOINT says" "an http:// address, e.g. http://127.0.0.1:4318/v1/traces; nothing is added";
    /// Headers that flk-control sends to the collector.
    OtlpHeaders "OTEL_EXPORTER_OTLP_HEADERS" "traces.otlp_headers_file" true "no headers" "name=value, several with commas between them, values in percent encoding";
    /// What spans call this service.
    ServiceName "OTEL_SERVICE_NAME" "traces.service_name" false "flk" "1 to 255 characters without control characters";
    /// Address and port of the admin API of flk-control.
    AdminListen "ADMIN_LISTEN" "admin.listen" false "127.0.0.1:8081" "an IP address with a port, e.g. 127.0.0.1:8081 or [::1]:8081; another than loopback needs ADMIN_TOKENS_FILE";
    /// File of the tokens that flk-control lets in, one actor:role:sha256 a line.
    AdminTokensFile "ADMIN_TOKENS_FILE" "admin.tokens_file" false "no tokens: every process of this machine is let in" "a file as flk control token --help describes it";
    /// Where flk-control serves its console, a page for browsers.
    AdminConsole "ADMIN_CONSOLE" "admin.console" false "local" "local (only where ADMIN_LISTEN is loopback), tls (anywhere, behind a proxy that ends TLS), plain (anywhere, without TLS: tokens can be read on the way) or off";
    /// Directory of the audit log of flk-control.
    ControlDir "CONTROL_DIR" "control.dir" false "the directory control beside WAL_DIR" "a directory that flk-control may write; it is made if it is not there";
}

impl Variable {
    /// The variable that names a file with its value, where that is a secret.
    pub fn file_name(self) -> Option<&'static str> {
        match self {
            Variable::HmacKey => Some("PCS_HMAC_KEY_FILE"),
            Variable::HmacKeys => Some("PCS_HMAC_KEYS_FILE"),
            Variable::HmacKeyNew => Some("PCS_HMAC_KEY_NEW_FILE"),
            Variable::HmacKeyOld => Some("PCS_HMAC_KEY_OLD_FILE"),
            Variable::Tenants => Some("TENANTS_FILE"),
            Variable::MetricsPass => Some("METRICS_PASS_FILE"),
            Variable::AgeIdentity => Some("SOPS_AGE_KEY_FILE"),
            Variable::OtlpHeaders => Some("OTEL_EXPORTER_OTLP_HEADERS_FILE"),
            _ => None,
        }
    }

    /// Another name in the environment, for configurations that have it.
    pub fn alias(self) -> Option<&'static str> {
        match self {
            Variable::WalMaxAge => Some("WAL_RETENTION"),
            _ => None,
        }
    }

    /// Whether this value of it must not be shown: a secret, or what may be one in the wrong place.
    pub fn is_secret_in(self, text: &str) -> bool {
        match self {
            Variable::OtlpEndpoint | Variable::OtlpTracesEndpoint => text.contains(['@', '?', '#']),
            Variable::AdminTokensFile | Variable::WalSecretFile => {
                shown_path(Path::new(text)) != text
            }
            _ => self.is_secret(),
        }
    }

    /// Whether a profile may say it: its value follows from CPUs, memory, disk and network, and decides nothing of what is promised.
    pub fn is_of_machine(self) -> bool {
        matches!(
            self,
            Variable::Cores
                | Variable::Driver
                | Variable::DedupMemoryMax
                | Variable::WalMaxBytes
                | Variable::SegmentBytes
                | Variable::HttpKeepalive
                | Variable::BatchMaxBytes
                | Variable::BatchMaxRecords
                | Variable::TracesPerSecondMax
        )
    }

    /// Whether it is only set or not set.
    pub fn is_switch(self) -> bool {
        matches!(self, Variable::AllowUnsigned | Variable::CoreDumps)
    }

    /// Whether its value may be a part of one.
    pub fn is_share(self) -> bool {
        matches!(self, Variable::TraceSample)
    }

    /// Whether its value is a list, with commas between the elements.
    pub fn is_list(self) -> bool {
        matches!(
            self,
            Variable::Ed25519Pub | Variable::Cores | Variable::TrustedProxies
        )
    }
}
