//! Every environment variable, right and wrong: a wrong value stops the start and is named with what is allowed, a right
//! one is seen to work, and a secret is never said.

use flk_dataplane::config::VARIABLES;
use flk_dataplane::driver::affinity::is_cores;
use flk_e2e::setting::Setting;
use flk_testkit::DEADLINE;
use flk_testkit::client::submit;
use flk_testkit::golden::bytes;
use flk_testkit::process::Ended;
use flk_testkit::records::record;
use std::net::TcpListener;
use std::time::Instant;

on_every_host!(
    wrong_values_stop_the_start_and_are_named,
    every_mistake_is_named_and_that_of_an_argument_by_its_key,
    values_that_are_not_text_are_refused,
    a_directory_that_cannot_be_used_is_named,
    secrets_are_never_said,
    the_port_and_address_asked_for_are_taken,
    an_ipv6_address_in_brackets_is_listened_on,
    variables_that_are_no_settings_are_named,
    memory_that_cannot_fit_is_refused_by_name,
    several_keys_are_active_at_a_time,
    unsigned_operation_is_said_loudly_and_takes_anything,
    the_body_limit_is_what_is_set,
    outcomes_expire_after_the_ttl,
    cores_driver_and_memory_are_as_set,
);

/// 256 characters.
const TOO_LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Values that are wrong, each just beyond what is allowed or of another kind, and the variable that is blamed.
const WRONG: [(&str, &str); 107] = [
    ("PORT", "65536"),
    ("PORT", "-1"),
    ("PORT", "http"),
    ("LISTEN", "localhost"),
    ("LISTEN", "127.0.0.1:80"),
    ("LISTEN", "256.0.0.1"),
    ("PCS_SIGN_ALG", "rsa"),
    ("PCS_SIGN_ALG", "HMAC"),
    ("PCS_SIGN_ALG", "none"),
    ("PCS_SIGN_ALG", "hmac;num=fixed8"),
    ("PCS_HMAC_KEYS", "a,b,c,d,e"),
    ("PCS_HMAC_KEYS", "a,,b"),
    ("FLK_ALLOW_UNSIGNED", "yes"),
    ("FLK_ALLOW_UNSIGNED", "0"),
    ("MULTI_TENANT", "yes"),
    ("TENANTS", "acme:hmac:sesame"),
    ("FLK_SNAPSHOT", "newest"),
    ("WAL_RETENTION", "1s"),
    ("WAL_RETENTION", "never"),
    ("TOKEN_RATE", "-1"),
    ("TOKEN_RATE", "1.5"),
    ("TOKEN_RATE", "4294967296"),
    ("METRICS_USER", "sesame"),
    ("METRICS_PASS", "sesame"),
    ("DEDUP_BACKEND", "redis"),
    ("DEDUP_BACKEND", "postgres"),
    ("FLK_PROFILE", "mainframe"),
    ("FLK_PROFILE", "./nowhere.toml"),
    ("FLK_CORES", "0"),
    ("FLK_CORES", "-1"),
    ("FLK_CORES", "100000"),
    ("FLK_CORES", "0-99999"),
    ("FLK_CORES", "many"),
    ("FLK_DRIVER", "glommio"),
    ("FLK_DRIVER", "URING"),
    ("FLK_SANDBOX", "ON"),
    ("FLK_SANDBOX", "1"),
    ("SOPS_AGE_KEY", "sesame"),
    ("FLK_CORE_DUMPS", "0"),
    ("FLK_CORE_DUMPS", "yes"),
    ("DEDUP_TTL", "14"),
    ("DEDUP_TTL", "0s"),
    ("DEDUP_TTL", "1001d"),
    ("DEDUP_TTL", "2w"),
    ("DEDUP_MEMORY_MAX", "lots"),
    ("DEDUP_MEMORY_MAX", "1023KiB"),
    ("DEDUP_MEMORY_MAX", "17TiB"),
    ("DEDUP_MEMORY_MAX", "1GB"),
    ("WAL_MAX_BYTES", "1KiB"),
    ("WAL_MAX_BYTES", "67108863"),
    ("WAL_MAX_BYTES", "1025TiB"),
    ("WAL_MAX_BYTES", "99999999999999TiB"),
    ("WAL_MAX_AGE", "1s"),
    ("WAL_MAX_AGE", "59s"),
    ("WAL_MAX_AGE", "10001d"),
    ("WAL_MAX_AGE", "never"),
    ("WAL_SEGMENT_BYTES", "5000000"),
    ("WAL_SEGMENT_BYTES", "4092KiB"),
    ("WAL_SEGMENT_BYTES", "1048580KiB"),
    ("WAL_SEGMENT_BYTES", "4MB"),
    ("WAL_HOLD_LIMIT", "Release"),
    ("WAL_HOLD_LIMIT", "keep"),
    ("WAL_DIR_GROUP", "no such group"),
    ("WAL_DIR_GROUP", "-1"),
    ("WAL_DIR_GROUP", "4294967295"),
    ("REGION_ID", "eu west"),
    ("REGION_ID", "europe/west"),
    ("REGION_ID", TOO_LONG),
    ("FLK_DRAIN_DELAY", "2h"),
    ("FLK_DRAIN_DELAY", "3601s"),
    ("FLK_DRAIN_DELAY", "5"),
    ("LOG_FORMAT", "JSON"),
    ("LOG_FORMAT", "logfmt"),
    ("HTTP_KEEPALIVE", "0s"),
    ("HTTP_KEEPALIVE", "75"),
    ("HTTP_KEEPALIVE", "forever"),
    ("LISTEN", "[127.0.0.1]"),
    ("LISTEN", "[::]:80"),
    ("BATCH_MAX_BYTES", "4194305"),
    ("BATCH_MAX_RECORDS", "4097"),
    ("FLK_BODY_MAX", "2MiB"),
    ("FLK_BODY_MAX", "1023"),
    ("FLK_BODY_MAX", "1048577"),
    ("FLK_BODY_MAX", "0.5MiB"),
    ("TRACE_SAMPLE", "1.1"),
    ("TRACE_SAMPLE", "-0.1"),
    ("TRACE_SAMPLE", "NaN"),
    ("TRACES_PER_SECOND_MAX", "10001"),
    ("TRACES_PER_SECOND_MAX", "1.5"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:0"),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://collector:4318/v1/traces",
    ),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "sesame"),
    ("OTEL_SERVICE_NAME", TOO_LONG),
    ("ADMIN_LISTEN", "127.0.0.1"),
    ("ADMIN_LISTEN", "localhost:8081"),
    ("ADMIN_CONSOLE", "on"),
    ("FLK_LOOK_UPS", "yes"),
    ("PROXY_PROTOCOL", "on"),
    ("PROXY_PROTOCOL", "v2"),
    ("PROXY_PROTOCOL", "required"),
    ("TRUSTED_PROXIES", "localhost"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("TRUSTED_PROXIES", "10.0.0.0/33"),
    ("TRUSTED_PROXIES", "10.0.0.0/8,"),
];

/// Variables that have tests of their own: every text is a key; directories are tried, not read; keys need a scheme; what
/// control alone uses is opened by control.
const ELSEWHERE: [&str; 8] = [
    "PCS_HMAC_KEY",
    "PCS_HMAC_KEY_NEW",
    "PCS_HMAC_KEY_OLD",
    "WAL_DIR",
    "WAL_SECRET_FILE",
    "PCS_ED25519_PUB_B64",
    "ADMIN_TOKENS_FILE",
    "CONTROL_DIR",
];

fn wrong_values_stop_the_start_and_are_named(setting: Setting) {
    let directory = setting.directory();
    for variable in VARIABLES {
        let name = variable.name();
        assert!(
            ELSEWHERE.contains(&name) || WRONG.iter().any(|(wrong, _)| *wrong == name),
            "{name} is never wrong"
        );
    }
    for (name, value) in WRONG {
        let ended = setting
            .plan(directory.path())
            .with(name, value)
            .run_to_end();
        is_refused(&ended, name, Some(value));
    }
    for value in ["AAAA", "not base64 at all", &format!("{}=", "A".repeat(43))] {
        let ended = setting
            .plan(directory.path())
            .with("PCS_SIGN_ALG", "ed25519")
            .with("PCS_ED25519_PUB_B64", value)
            .run_to_end();
        is_refused(&ended, "PCS_ED25519_PUB_B64", Some(value));
    }
    let ended = setting
        .plan(directory.path())
        .with("PCS_SIGN_ALG", "ed25519")
        .run_to_end();
    is_refused(&ended, "PCS_ED25519_PUB_B64", None);
    let ended = setting
        .plan(directory.path())
        .with("METRICS_USER", "with:colon")
        .with("METRICS_PASS", "sesame")
        .run_to_end();
    is_refused(&ended, "METRICS_USER", Some("with:colon"));
    let ended = setting
        .plan(directory.path())
        .without("PCS_HMAC_KEY")
        .run_to_end();
    is_refused(&ended, "PCS_HMAC_KEY", None);
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "a refused start leaves nothing behind");
}

/// One line: the variable, its value where it is no secret, what is wrong, and what is allowed, in the words of the
/// documentation.
fn is_refused(ended: &Ended, name: &str, value: Option<&str>) {
    assert_eq!(ended.code(), 78, "{name}={value:?}: {ended}");
    assert_eq!(ended.said.lines().count(), 1, "{name}={value:?}: {ended}");
    // Half of a pair is blamed on the half that is missing, which has no value to show.
    let half = match name {
        "METRICS_USER" if value == Some("sesame") => Some("METRICS_PASS"),
        "METRICS_PASS" => Some("METRICS_USER"),
        "WAL_RETENTION" => Some("WAL_MAX_AGE"),
        _ => None,
    };
    let blamed = half.unwrap_or(name);
    let mut all = VARIABLES.iter();
    let variable = all.find(|variable| variable.name() == blamed).unwrap();
    let is_other = name != blamed && name != "WAL_RETENTION";
    let shown = value.filter(|_| !is_other && !variable.is_secret());
    let start = match shown {
        Some(value) => format!(": {blamed}={value}: "),
        None => format!(": {blamed}: "),
    };
    assert!(ended.said.contains(&start), "no {start:?}: {ended}");
    // Which CPUs are allowed is known only where the value is a count or a list.
    let allowed = match name {
        "FLK_CORES" if value.is_some_and(is_cores) => "; allowed: CPUs ".to_owned(),
        _ => format!("; allowed: {}\n", variable.allowed()),
    };
    assert!(ended.said.contains(&allowed), "no {allowed:?}: {ended}");
}

fn every_mistake_is_named_and_that_of_an_argument_by_its_key(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path()).with("DEDUP_TTL", "soon");
    let plan = plan.with("WAL_MAX_AGE", "1s");
    let ended = plan
        .with_arguments(&["--http.port=x", "--metrics.user=a:b"])
        .run_to_end();
    assert_eq!(ended.code(), 78, "{ended}");
    for start in [
        ": --http.port=x: not a port",
        ": METRICS_PASS: METRICS_USER is set",
        ": --metrics.user=a:b: it holds a colon",
        ": DEDUP_TTL=soon: ",
        ": WAL_MAX_AGE=1s: out of bounds",
    ] {
        assert_eq!(ended.said.matches(start).count(), 1, "{start}: {ended}");
    }
    let cores = setting.plan(directory.path()).without("FLK_CORES");
    let ended = cores.with_arguments(&["--process.cores=9999"]).run_to_end();
    assert_eq!(ended.code(), 78, "{ended}");
    assert!(ended.said.contains("--process.cores=9999: "), "{ended}");
}

/// An operator who cannot type what is in a variable must not get its default instead.
fn values_that_are_not_text_are_refused(setting: Setting) {
    let directory = setting.directory();
    for variable in VARIABLES {
        let name = variable.name();
        let ended = setting
            .plan(directory.path())
            .with_bytes(name, b"\xff\xfe")
            .run_to_end();
        assert_eq!(ended.code(), 78, "{name}: {ended}");
        let start = format!(": {name}: not UTF-8; allowed: {}\n", variable.allowed());
        assert!(ended.said.contains(&start), "no {start:?}: {ended}");
    }
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "a refused start leaves nothing behind");
}

fn a_directory_that_cannot_be_used_is_named(setting: Setting) {
    let directory = setting.directory();
    let file = directory.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let ended = setting.plan(&file).run_to_end();
    assert_ne!(ended.code(), 0, "{ended}");
    assert!(ended.said.contains(file.to_str().unwrap()), "{ended}");
    assert!(ended.said.contains("WAL_DIR"), "{ended}");
}

fn secrets_are_never_said(setting: Setting) {
    let directory = setting.directory();
    let secret = "open-sesame";
    let refused = [
        ("PCS_HMAC_KEYS", "a,b,c,open-sesame,e,f", ""),
        ("PCS_ED25519_PUB_B64", "open-sesame", "ed25519"),
        ("METRICS_PASS", secret, ""),
    ];
    for (name, value, scheme) in refused {
        let mut plan = setting.plan(directory.path()).with(name, value);
        if !scheme.is_empty() {
            plan = plan.with("PCS_SIGN_ALG", scheme);
        }
        let ended = plan.run_to_end();
        assert_eq!(ended.code(), 78, "{name}: {ended}");
        // A public key is no secret; it may be shown or not.
        assert!(
            name == "PCS_ED25519_PUB_B64" || !ended.said.contains(secret),
            "{name}: {ended}"
        );
    }
    let gateway = setting
        .plan(directory.path())
        .with("PCS_HMAC_KEY", secret)
        .with("METRICS_USER", "prometheus")
        .with("METRICS_PASS", "sesame-closes")
        .start();
    let pages = ["/health", "/version", "/metrics", "/nowhere"].map(|path| gateway.get(path));
    let ended = gateway.stop();
    for text in pages
        .iter()
        .map(|page| page.text())
        .chain([ended.said.as_str()])
    {
        assert!(
            !text.contains(secret) && !text.contains("sesame-closes"),
            "{text}"
        );
    }
}

fn the_port_and_address_asked_for_are_taken(setting: Setting) {
    let directory = setting.directory();
    let free = TcpListener::bind(("127.0.0.2", 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let gateway = setting
        .plan(directory.path())
        .with("LISTEN", "127.0.0.2")
        .with("PORT", &free.port().to_string())
        .start();
    assert_eq!(gateway.address(), free);
}

fn an_ipv6_address_in_brackets_is_listened_on(setting: Setting) {
    if TcpListener::bind("[::1]:0").is_err() {
        return flk_testkit::skipped("LISTEN=[::1]: no IPv6 here");
    }
    let directory = setting.directory();
    for (listen, shown) in [("[::1]", "http://[::1]:"), ("[::]", "http://[::]:")] {
        let gateway = setting
            .plan(directory.path())
            .with("LISTEN", listen)
            .start();
        assert!(gateway.said().contains(shown), "{}", gateway.said());
        assert_eq!(gateway.post(&record(1).body).status, 200);
    }
}

fn variables_that_are_no_settings_are_named(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("DEDUP_TLL", "open-sesame")
        .with("FLK_CORE", "open-sesame")
        .with("FLK_URL", "open-sesame")
        .with("HTTP_PROXY", "open-sesame")
        .with("OTEL_TRACES_SAMPLER", "open-sesame")
        .start();
    let said = gateway.said();
    let unread = "warning: OTEL_TRACES_SAMPLER is not read: TRACE_SAMPLE";
    assert!(said.contains(unread), "{said}");
    for (typed, meant) in [("DEDUP_TLL", "DEDUP_TTL"), ("FLK_CORE", "FLK_CORES")] {
        let warning =
            format!("warning: {typed} is not a setting and is not read; is {meant} meant?");
        assert!(said.contains(&warning), "{said}");
    }
    assert_eq!(said.matches("is not read").count(), 3, "{said}");
    assert!(!said.contains("sesame"), "{said}");
}

fn memory_that_cannot_fit_is_refused_by_name(setting: Setting) {
    let directory = setting.directory();
    let plan = setting.plan(directory.path());
    let ended = plan.clone().with("DEDUP_MEMORY_MAX", "15TiB").run_to_end();
    assert_eq!(ended.code(), 78, "{ended}");
    assert!(ended.said.contains("DEDUP_MEMORY_MAX=15TiB: "), "{ended}");
    let (_, largest) = ended.said.split_once("the largest that fits is ").unwrap();
    let gateway = plan.with("DEDUP_MEMORY_MAX", largest.trim_end()).start();
    assert_eq!(gateway.post(&record(1).body).status, 200);
}

fn several_keys_are_active_at_a_time(setting: Setting) {
    let directory = setting.directory();
    let bodies = ["rotation_old_key", "rotation_new_key"];
    let bodies = bodies.map(|name| bytes(&format!("records/{name}.json")));
    let plan = setting.plan(directory.path()).without("PCS_HMAC_KEY");
    let keys = flk_testkit::golden::vectors("keys");
    let text = |name: &str| {
        let all = keys["hmac"].as_array().unwrap();
        let key = all.iter().find(|key| key["name"] == name).unwrap();
        key["text"].as_str().unwrap().to_owned()
    };
    let (old, new) = (text("rotation-old"), text("rotation-new"));
    let gateway = plan
        .clone()
        .with("PCS_HMAC_KEYS", &format!("{old},{new}"))
        .start();
    for body in &bodies {
        assert_eq!(gateway.post(body).status, 200);
    }
    gateway.stop();
    let gateway = plan.with("PCS_HMAC_KEYS", &new).start();
    assert_eq!(
        gateway.post(&bodies[0]).status,
        401,
        "a retired key verifies nothing"
    );
    assert_eq!(gateway.post(&bodies[1]).dedup(), Some("hit"));
}

fn unsigned_operation_is_said_loudly_and_takes_anything(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .without("PCS_HMAC_KEY")
        .with("PCS_SIGN_ALG", "none")
        .with("FLK_ALLOW_UNSIGNED", "1")
        .start();
    assert!(gateway.said().contains("WARNING"), "{}", gateway.said());
    assert_eq!(gateway.post(&record(1).forged()).status, 200);
}

fn the_body_limit_is_what_is_set(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("FLK_BODY_MAX", "2KiB")
        .start();
    assert_eq!(gateway.post(&record(1).body).status, 200);
    let mut connection = gateway.connect();
    let request = submit(&vec![b' '; 2049]);
    let head_bytes = request.len() - 2049;
    connection.send(&request[..head_bytes]).unwrap();
    let answer = connection.response().unwrap();
    assert_eq!(answer.status, 413, "before the body is sent: {answer:?}");
    assert!(connection.closes(), "413 closes");
}

fn outcomes_expire_after_the_ttl(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("DEDUP_TTL", "2s")
        .start();
    let record = record(1);
    assert_eq!(gateway.post(&record.body).dedup(), Some("miss"));
    assert_eq!(gateway.post(&record.body).dedup(), Some("hit"));
    let from = Instant::now();
    while gateway.post(&record.body).dedup() == Some("hit") {
        assert!(from.elapsed() < DEADLINE, "it never expires");
        std::thread::yield_now();
    }
    assert!(
        from.elapsed().as_secs() >= 1,
        "it expired after {:?}",
        from.elapsed()
    );
}

fn cores_driver_and_memory_are_as_set(setting: Setting) {
    let directory = setting.directory();
    let gateway = setting
        .plan(directory.path())
        .with("FLK_CORES", "1")
        .with("DEDUP_MEMORY_MAX", "64MiB")
        .with("DEDUP_BACKEND", "memory")
        .with("WAL_MAX_BYTES", "256MiB")
        .with("WAL_MAX_AGE", "1d")
        .with("FLK_DRAIN_DELAY", "0s")
        .start();
    let said = gateway.said();
    assert!(said.contains("1 on CPU "), "{said}");
    assert!(said.contains("64 MiB of memory"), "{said}");
}
