//! The configuration file and files of secrets: what is read, what outweighs what, and what an error names.

use super::*;
use crate::driver::group::ReadGroup;
use crate::http::LookUps;
use crate::keeper::config::HoldLimit;
use std::path::Path;
use tempfile::TempDir;

/// A directory with a configuration file in it.
struct Written(TempDir, Flags);

impl Written {
    fn new(text: &str) -> Written {
        let written = Written(tempfile::tempdir().unwrap(), Flags::default());
        written.put("flk.toml", text);
        written.put("key", "0123456789abcdef0123456789abcdef\n");
        written
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Reads it below these variables.
    fn read(&self, set: &[(&str, &str)]) -> Result<(RawConfig, Config), ConfigError> {
        let env = |name: &str| {
            let set = set.iter().find(|(known, _)| *known == name);
            let set = set.map(|(_, text)| (*text).to_owned());
            let file = (name == "FLK_CONFIG").then(|| self.text("flk.toml"));
            set.or(file)
        };
        let raw = RawConfig::read(&env, &self.1)?;
        let config = Config::resolve(&raw)?;
        Ok((raw, config))
    }

    fn error(&self, set: &[(&str, &str)]) -> String {
        let error = self.read(set).map(|_| ()).unwrap_err().to_string();
        error.replace(&self.text("flk.toml"), "FILE")
    }
}

const KEY: (&str, &str) = ("PCS_HMAC_KEY", "0123456789abcdef0123456789abcdef");

/// Address, sizes and times of the file with every setting.
fn check_sizes_and_times(config: &Config) {
    assert_eq!(config.listen.to_string(), "[::1]:9090");
    assert_eq!(config.keepalive, Duration::from_secs(90));
    assert_eq!(config.body_bytes_max, 65_536);
    assert_eq!(
        (config.batch_bytes_max, config.batch_lines_max),
        (131_072, 100)
    );
    assert_eq!(config.look_ups, LookUps::On);
    assert_eq!(config.drain_delay, Duration::from_secs(5));
    assert_eq!(config.proxies.protocol, ProxyProtocol::Optional);
    let loopback = std::net::Ipv6Addr::LOCALHOST;
    assert!(config.proxies.trusted.contains(loopback.into()));
    assert_eq!(config.wal_dir, Path::new("/srv/wal"));
    assert_eq!(config.wal_bytes_max, Some(1 << 30));
    assert_eq!(config.wal_age_max_s, 2 * 86_400);
    assert_eq!(config.segment_bytes, Some(8 << 20));
    let secret = config.wal_secret_file.as_deref();
    assert_eq!(secret, Some(Path::new("/srv/wal.secret")));
    assert_eq!(config.region, Region::new("eu-west"));
    assert_eq!(config.dedup_ttl_s, 7 * 86_400);
    assert_eq!(config.dedup_memory_bytes_max, Some(64 << 20));
}

fn check_control(control: &control::ControlSettings) {
    assert_eq!(control.admin_listen.to_string(), "[::1]:8082");
    assert_eq!(control.console, control::ConsoleAccess::Tls);
    assert_eq!(control.directory, Path::new("/srv/control"));
}

#[test]
fn every_setting_can_stand_in_the_file() {
    let written = Written::new("");
    let text = format!(
        "[http]\nport = 9_090\nlisten = \"::1\"\nkeepalive = \"90s\"\nbody_max = \"64KiB\"\nbatch_max_bytes = \"128KiB\"\nbatch_max_records = 100\nlook_ups = \"on\"\ndrain_delay = \"5s\"\nproxy_protocol = \"optional\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n\
         [wal]\ndir = \"/srv/wal\"\nmax_bytes = \"1GiB\"\nmax_age = \"2d\"\nsegment_bytes = \"8MiB\"\nsecret_file = \"/srv/wal.secret\"\nhold_limit = \"refuse\"\ndir_group = \"1234\"\n\
         [dedup]\nbackend = \"memory\"\nttl = \"7d\"\nmemory_max = \"64MiB\"\n\
         [signing]\nalg = \"hmac\"\nhmac_key_file = '{key}'\nhmac_keys_file = '{key}'\nhmac_key_new_file = '{key}'\nhmac_key_old_file = '{key}'\nallow_unsigned = false\n\
         [limits]\nrate = 1000\n[metrics]\nuser = \"prom\"\npassword_file = '{key}'\n\
         [process]\nprofile = \"laptop\"\ncores = [\"0\"]\ndriver = \"portable\"\nsnapshot = \"environment\"\ncore_dumps = true\nsandbox = \"off\"\nregion = \"eu-west\"\nage_identity_file = '{identity}'\n\
         [admin]\nlisten = \"[::1]:8082\"\ntokens_file = \"/srv/tokens\"\nconsole = \"tls\"\n[control]\ndir = \"/srv/control\"\n\
         [log]\nformat = \"json\"\n[traces]\nsample = 0.25\nper_second_max = 7\notlp_endpoint = \"http://127.0.0.1:4317\"\notlp_traces_endpoint = \"http://127.0.0.1:4318/traces\"\notlp_headers_file = '{headers}'\nservice_name = \"edge\"\n\
         [tenancy]\nmulti_tenant = 1\ntenants_file = '{tenants}'\n",
        tenants = written.text("tenants"),
        identity = written.text("identity"),
        headers = written.text("headers"),
        key = written.text("key")
    );
    written.put(
        "identity",
        include_str!("../../tests/sealed/first.identity"),
    );
    written.put("flk.toml", &text);
    let acme = "acme:hmac:fedcba9876543210fedcba9876543210\n";
    written.put("tenants", acme);
    written.put("headers", "authorization=Bearer%20abc\n");
    let (raw, config) = written.read(&[]).unwrap();
    check_sizes_and_times(&config);
    assert_eq!(config.document.limits.rate, 1000);
    assert_eq!(config.snapshot, Begin::Environment);
    assert_eq!(config.log_format, crate::logs::Format::Json);
    check_control(&config.control);
    assert_eq!((config.traces.sample, config.traces.per_s_max), (0.25, 7));
    let otlp = config.control.otlp.as_ref().unwrap();
    assert_eq!(
        (otlp.endpoint.port, otlp.endpoint.path.as_str()),
        (4318, "/traces")
    );
    assert_eq!(otlp.service_name, "edge");
    assert_eq!(otlp.headers.0[0].1.as_str(), "Bearer abc");
    let tenants = config.document.tenants.iter();
    let tenants: Vec<&str> = tenants.map(|it| it.name.as_str()).collect();
    assert_eq!(tenants, ["acme", "default"]);
    assert_eq!(config.hold_limit, HoldLimit::Refuse);
    assert_eq!(config.wal_dir_group.map(ReadGroup::number), Some(1234));
    assert_eq!(config.cores.as_deref(), Some("0,"));
    assert_eq!(config.driver, Requested::Portable);
    assert!(config.metrics_auth.is_some());
    assert_eq!(
        config.short_keys_count, 0,
        "the line end is no part of a key"
    );
    let unset = [Variable::AllowUnsigned, Variable::Ed25519Pub];
    assert_eq!(config.core_dumps, CoreDumps::Allowed);
    assert_eq!(config.sandbox, Wanted::Off);
    let directory = Path::new(&written.text("key")).parent().unwrap().to_owned();
    assert_eq!(
        config.paths_read,
        [directory],
        "of the file and of all secrets"
    );
    for &variable in VARIABLES {
        let is_set = raw.origin(variable) != Origin::Default;
        assert_eq!(is_set, !unset.contains(&variable), "{}", variable.key());
    }
    assert_eq!(
        raw.origin(Variable::Port).to_string(),
        format!("{}:2: http.port", written.text("flk.toml"))
    );
}

#[test]
fn public_keys_stand_in_a_list() {
    let key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let text = format!("[signing]\nalg = \"ed25519\"\ned25519_public = [\"{key}\"]\n");
    assert!(Written::new(&text).read(&[]).is_ok());
}

#[test]
fn the_environment_outweighs_the_file_and_an_empty_variable_does_not() {
    let written = Written::new("[http]\nport = 9090\n");
    let port = |set| written.read(set).unwrap().1.listen.port();
    assert_eq!(port(&[KEY]), 9090);
    assert_eq!(port(&[KEY, ("PORT", "9191")]), 9191);
    assert_eq!(port(&[KEY, ("PORT", "")]), 9090);
    let (raw, _) = written.read(&[KEY, ("PORT", "9191")]).unwrap();
    assert_eq!(raw.origin(Variable::Port), Origin::Environment("PORT"));
    assert_eq!(raw.origin(Variable::Listen), Origin::Default);
}

#[test]
fn an_argument_outweighs_the_environment() {
    let mut written = Written::new("[http]\nport = 9090\n");
    written.1 = Flags::parse(["--http.port=9292".to_owned()]).unwrap();
    let (raw, config) = written.read(&[KEY, ("PORT", "9191")]).unwrap();
    assert_eq!(config.listen.port(), 9292);
    assert_eq!(raw.origin(Variable::Port), Origin::Argument("http.port"));
    let file = format!("--config={}", written.text("flk.toml"));
    written.1 = Flags::parse([file]).unwrap();
    let config = written
        .read(&[KEY, ("FLK_CONFIG", "/no/such/file")])
        .unwrap()
        .1;
    assert_eq!(config.listen.port(), 9090);
}

#[test]
fn an_error_names_file_line_key_value_and_what_is_allowed() {
    for (text, expected) in [
        (
            "[http]\n\nport = 70000\n",
            "FILE:3: http.port = 70000: not a port; allowed: 0 to 65535",
        ),
        (
            "[http]\nprot = 1\n",
            "FILE:2: http.prot: no such setting; is http.port meant?",
        ),
        (
            "[htp]\nport = 1\n",
            "FILE:2: htp.port: no such setting; is http.port meant?",
        ),
        ("port = 1\n", "FILE:1: port: no such setting"),
        ("[http]\n[other]\n", "FILE:2: other: no such setting"),
        (
            "[http]\nport = 1.5\n",
            "FILE:2: http.port: neither a text nor a whole number",
        ),
        (
            "[http]\nport = true\n",
            "FILE:2: http.port: neither a text nor a whole number",
        ),
        (
            "[http]\nport = [1]\n",
            "FILE:2: http.port: a list, and only one value is taken",
        ),
        (
            "[http]\nport = 0x1f\n",
            "FILE:2: http.port: neither a text nor a whole number",
        ),
        ("[http.port]\nnumber = 1\n", "FILE:1: http.port: a table"),
        ("[http]\nport = 1\nport = 2\n", "FILE:3: TOML: "),
        ("[http\n", "FILE:1: TOML: "),
        (
            "[process]\ncores = [1]\n",
            "FILE:2: process.cores: a list of something else than texts",
        ),
        (
            "[process]\ncores = [\"1,2\"]\n",
            "FILE:2: process.cores: a comma in an element",
        ),
        (
            "[dedup]\nttl = \"14\"\n",
            "FILE:2: dedup.ttl = 14: not a number with a unit; allowed: 1s to 1000d",
        ),
    ] {
        let error = Written::new(text).error(&[KEY]);
        assert!(error.starts_with(expected), "{text:?}: {error}");
        assert!(error.contains("; allowed: "), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let written = Written::new("");
    for (path, problem) in [
        (written.text("none"), "it cannot be read"),
        (
            written.0.path().display().to_string(),
            "it must be a regular file",
        ),
    ] {
        let error = written.error(&[KEY, ("FLK_CONFIG", &path)]);
        assert!(
            error.starts_with(&format!("FLK_CONFIG={path}: {problem}")),
            "{error}"
        );
    }
    std::fs::write(written.path("bytes"), [0xff, 0xfe]).unwrap();
    let path = written.text("bytes");
    assert!(
        written
            .error(&[KEY, ("FLK_CONFIG", &path)])
            .contains("it is not UTF-8")
    );
    std::fs::write(written.path("long"), vec![b'#'; (1 << 20) + 1]).unwrap();
    let path = written.text("long");
    assert!(
        written
            .error(&[KEY, ("FLK_CONFIG", &path)])
            .contains("longer than 1048576 bytes")
    );
}

#[test]
fn a_secret_comes_from_a_file_without_one_line_end() {
    let written = Written::new("");
    for (name, text, short) in [
        ("exact", "0123456789abcdef0123456789abcdef", 0),
        ("line", "0123456789abcdef0123456789abcdef\n", 0),
        ("short", "0123456789abcdef0123456789abcde\n", 1),
        ("lines", "0123456789abcdef0123456789abcde\n\n", 0),
    ] {
        written.put(name, text);
        let path = written.text(name);
        let (raw, config) = written.read(&[("PCS_HMAC_KEY_FILE", &path)]).unwrap();
        assert_eq!(config.short_keys_count, short, "{name}");
        assert_eq!(
            raw.origin(Variable::HmacKey),
            Origin::Environment("PCS_HMAC_KEY_FILE")
        );
    }
}

#[test]
fn a_secret_that_cannot_be_had_or_is_there_twice_is_refused_and_never_shown() {
    let written = Written::new("");
    written.put("empty", "\n");
    written.put("sesame", "sesame");
    let [empty, sesame, none] = ["empty", "sesame", "none"].map(|name| written.text(name));
    let error = written.error(&[("PCS_HMAC_KEYS_FILE", &empty)]);
    assert!(
        error.contains("PCS_HMAC_KEYS_FILE") && error.contains("it is empty"),
        "{error}"
    );
    let error = written.error(&[KEY, ("METRICS_USER", "a"), ("METRICS_PASS_FILE", &none)]);
    assert!(
        error.contains("METRICS_PASS_FILE") && error.contains("cannot be read"),
        "{error}"
    );
    let error = written.error(&[KEY, ("PCS_HMAC_KEY_FILE", &sesame)]);
    assert!(error.contains("PCS_HMAC_KEY is set, too"), "{error}");
    written.put("flk.toml", "[signing]\nhmac_key_file = \"/no/such/file\"\n");
    let error = written.error(&[]);
    assert!(
        error.starts_with("FILE:2: signing.hmac_key_file = /no/such/file: "),
        "{error}"
    );
    written.put("flk.toml", "[signing]\nhmac_key = \"sesame\"\n");
    let error = written.error(&[]);
    assert!(
        error.contains("is signing.hmac_key_file meant?") && !error.contains("sesame"),
        "{error}"
    );
    written.put("many", "a,b,c,d,e");
    let many = written.text("many");
    let error = written.error(&[("PCS_HMAC_KEYS_FILE", &many)]);
    assert!(!error.contains("a,b"), "{error}");
}

const IDENTITY: &str = include_str!("../../tests/sealed/first.identity");

/// The identity alone, as it would be pasted.
fn identity() -> &'static str {
    IDENTITY.lines().last().unwrap()
}

#[test]
fn a_configuration_in_a_pipe_is_refused_by_every_reader_and_stays_in_it() {
    let written = Written::new("");
    let pipe = written.text("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    // With a writer and without one.
    let open = || std::fs::File::options().read(true).write(true).open(&pipe);
    let text = "[http]\nport = 9090\n";
    for held in [None, Some(open().unwrap())] {
        if let Some(mut file) = held.as_ref() {
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        }
        let flags = Flags::parse([format!("--config={pipe}")]).unwrap();
        assert!(names_of_keys(&flags).is_empty());
        let arguments = ["--config".to_owned(), pipe.clone()];
        assert_eq!(log_format_of_start(&|_| None, &arguments), Format::Text);
        let error = written.error(&[KEY, ("FLK_CONFIG", &pipe)]);
        let expected = format!("FLK_CONFIG={pipe}: it must be a regular file");
        assert!(error.starts_with(&expected), "{error}");
        let error = written.error(&[KEY, ("SOPS_AGE_KEY_FILE", &pipe)]);
        let expected = format!("SOPS_AGE_KEY_FILE={pipe}: it must be a regular file");
        assert!(error.starts_with(&expected), "{error}");
        if let Some(mut file) = held.as_ref() {
            let mut left = [0; 64];
            let length = std::io::Read::read(&mut file, &mut left).unwrap();
            assert_eq!(&left[..length], text.as_bytes(), "nothing of it is lost");
        }
    }
}

#[test]
fn a_secret_in_the_place_of_its_file_is_never_shown() {
    let written = Written::new("");
    let secret = "sesame-sesame-sesame-sesame-sesame";
    let advice = "this is an identity itself: put it into a file, or into SOPS_AGE_KEY";
    for (variable, value) in [
        ("PCS_HMAC_KEY_FILE", secret),
        ("METRICS_PASS_FILE", secret),
        ("SOPS_AGE_KEY_FILE", secret),
        ("SOPS_AGE_KEY_FILE", identity()),
        ("PCS_HMAC_KEYS_FILE", identity()),
        ("FLK_CONFIG", identity()),
    ] {
        let error = written.error(&[(variable, value)]);
        let expected = format!("{variable}=(not shown): ");
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(error.contains(advice), value == identity(), "{error}");
        assert!(!error.contains(value), "{error}");
    }
    for (key, value) in [
        ("signing.hmac_key_file", secret),
        ("process.age_identity_file", identity()),
    ] {
        written.put("flk.toml", &format!("{key} = \"{value}\"\n"));
        let error = written.error(&[]);
        assert!(error.contains(&format!("{key} = (not shown): ")), "{error}");
    }
    let tenant =
        format!("[[tenants]]\nid = \"acme\"\nkeys = [{{ id = \"a\", file = \"{secret}\" }}]\n");
    written.put("flk.toml", &tenant);
    let error = written.error(&[]);
    assert!(
        error.contains("tenant acme, key a: (not shown): "),
        "{error}"
    );
    // Encrypted files are opened with what is no path.
    written.put("flk.toml", "");
    written.put(
        "key.age",
        include_str!("../../tests/sealed/age/key.armored.age"),
    );
    let path = written.text("key.age");
    let keys = sealed::AgeKeys::of_file(secret);
    let error = read_secret(&SecretPath::typed(&path), &keys).unwrap_err();
    assert!(
        error.contains("(not shown): ") && !error.contains(secret),
        "{error}"
    );
    // Wherever else it stands.
    let error = written.error(&[KEY, ("PORT", identity())]);
    assert!(error.starts_with("PORT=[age identity]: "), "{error}");
}

#[test]
fn a_collector_with_credentials_is_refused_without_them() {
    let written = Written::new("");
    for endpoint in [
        "http://user:sesame@collector:4318",
        "https://user:sesame@collector:4318",
        "http://collector/v1?token=sesame",
        "sesame@collector",
    ] {
        let name = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let error = written.error(&[KEY, (name, endpoint)]);
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
        assert!(!error.contains("sesame"), "{error}");
        assert!(Variable::OtlpEndpoint.is_secret_in(endpoint));
    }
    assert!(!Variable::OtlpEndpoint.is_secret_in("http://collector:4318/v1"));
    let error = written.error(&[KEY, ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]);
    assert!(error.contains("=collector:4318: "), "{error}");
}

#[test]
fn an_encrypted_text_or_an_identity_is_never_taken_for_a_key() {
    let written = Written::new("");
    let armored = include_str!("../../tests/sealed/age/key.armored.age");
    let sops = include_str!("../../tests/sealed/sops/keys.yaml");
    let tenant = "[[tenants]]\nid = \"acme\"\nkeys = [{ id = \"a\", env = \"ACME\" }]\n";
    for (text, expected) in [
        (
            armored,
            "it is the text of a file that age or SOPS encrypted",
        ),
        (
            &armored.replace('\n', " "),
            "it is the text of a file that age or SOPS encrypted",
        ),
        (sops, "it is the text of a file that age or SOPS encrypted"),
        (
            identity(),
            "it is an age identity, which opens files of keys",
        ),
        (IDENTITY, "it is an age identity, which opens files of keys"),
    ] {
        written.put("flk.toml", "");
        for name in ["PCS_HMAC_KEY", "PCS_HMAC_KEYS", "METRICS_PASS"] {
            let error = written.error(&[(name, text)]);
            assert!(error.starts_with(&format!("{name}: {expected}")), "{error}");
        }
        let listed = format!("acme:hmac:{text}");
        let error = written.error(&[KEY, ("MULTI_TENANT", "1"), ("TENANTS", &listed)]);
        assert!(
            error.starts_with(&format!("TENANTS: {expected}")),
            "{error}"
        );
        written.put("flk.toml", tenant);
        let error = written.error(&[("ACME", text)]);
        assert!(
            error.contains(&format!("key a: ACME: {expected}")),
            "{error}"
        );
    }
    written.put("flk.toml", "");
    written.put("identity", IDENTITY);
    let error = written.error(&[("PCS_HMAC_KEY_FILE", &written.text("identity"))]);
    assert!(
        error.starts_with("PCS_HMAC_KEY_FILE: it is an age identity"),
        "{error}"
    );
    assert!(written.read(&[KEY, ("SOPS_AGE_KEY", IDENTITY)]).is_ok());
}
