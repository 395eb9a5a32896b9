//! Every variable, right and wrong.

use super::*;

fn config(set: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let set: Vec<(String, String)> = set
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    Config::from_env(&move |name| {
        set.iter()
            .find(|(set, _)| set == name)
            .map(|(_, value)| value.clone())
    })
}

fn with_key(set: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut all = vec![("PCS_HMAC_KEY", "0123456789abcdef0123456789abcdef")];
    all.extend_from_slice(set);
    config(&all)
}

#[test]
fn defaults_need_only_a_key() {
    let config = with_key(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.wal_dir, PathBuf::from("data/wal"));
    assert_eq!(config.dedup_ttl_s, 14 * 86_400);
    assert_eq!(config.wal_bytes_max, None);
    assert_eq!(config.dedup_memory_bytes_max, None);
    assert_eq!(config.short_keys_count, 0);
    assert_eq!(config.keepalive, Duration::from_secs(75));
}

#[test]
fn keep_alive_is_a_duration() {
    for (text, seconds) in [("1s", 1), ("90s", 90), ("2m", 120), ("1h", 3_600)] {
        let config = with_key(&[("HTTP_KEEPALIVE", text)]).unwrap();
        assert_eq!(config.keepalive, Duration::from_secs(seconds));
    }
}

#[test]
fn a_wrong_value_names_variable_value_and_what_is_allowed() {
    for (name, value) in [
        ("PORT", "70000"),
        ("LISTEN", "localhost"),
        ("LISTEN", "[127.0.0.1]"),
        ("LISTEN", "[::"),
        ("LISTEN", "[::]:80"),
        ("PCS_SIGN_ALG", "rsa"),
        ("PCS_SIGN_ALG", "none"),
        ("TOKEN_RATE", "-1"),
        ("DEDUP_BACKEND", "redis"),
        ("FLK_DRIVER", "glommio"),
        ("FLK_PROFILE", "mainframe"),
        ("FLK_CORES", "x"),
        ("FLK_CORES", "0"),
        ("FLK_CORES", "7-2"),
        ("DEDUP_TTL", "14"),
        ("DEDUP_TTL", "0s"),
        ("DEDUP_MEMORY_MAX", "lots"),
        ("WAL_MAX_BYTES", "1KiB"),
        ("WAL_MAX_AGE", "1s"),
        ("WAL_SEGMENT_BYTES", "5000000"),
        ("FLK_DRAIN_DELAY", "2h"),
        ("HTTP_KEEPALIVE", "0s"),
        ("HTTP_KEEPALIVE", "2h"),
        ("HTTP_KEEPALIVE", "60"),
        ("FLK_BODY_MAX", "2MiB"),
        ("BATCH_MAX_BYTES", "5MiB"),
        ("BATCH_MAX_BYTES", "1023"),
        ("BATCH_MAX_RECORDS", "0"),
        ("BATCH_MAX_RECORDS", "4097"),
        ("BATCH_MAX_RECORDS", "many"),
        ("FLK_LOOK_UPS", "yes"),
        ("FLK_ALLOW_UNSIGNED", "yes"),
        ("PROXY_PROTOCOL", "on"),
        ("PROXY_PROTOCOL", "required"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "localhost"),
    ] {
        let text = with_key(&[(name, value)]).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{name}={value}: ")), "{text}");
        assert!(text.contains("; allowed: "), "{text}");
    }
}

#[test]
fn proxies_are_trusted_by_their_networks() {
    let of = |set: &[(&str, &str)]| with_key(set).unwrap().proxies;
    let nobody = of(&[]);
    assert_eq!(nobody.protocol, ProxyProtocol::Off);
    assert!(nobody.trusted.is_empty());
    for (text, protocol) in [
        ("off", ProxyProtocol::Off),
        ("optional", ProxyProtocol::Optional),
        ("required", ProxyProtocol::Required),
    ] {
        let networks = "10.0.0.0/8, 2001:db8::/32";
        let proxies = of(&[("PROXY_PROTOCOL", text), ("TRUSTED_PROXIES", networks)]);
        assert_eq!(proxies.protocol, protocol);
        for (address, expect) in [("10.1.2.3", true), ("2001:db8::1", true), ("::1", false)] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(proxies.trusted.contains(address), expect, "{address}");
        }
    }
    let alone = with_key(&[("PROXY_PROTOCOL", "optional")]).unwrap_err();
    assert!(
        alone
            .to_string()
            .contains("TRUSTED_PROXIES names no network"),
        "{alone}"
    );
}

#[test]
fn secrets_are_never_shown() {
    for set in [
        &[("PCS_HMAC_KEYS", "a,b,c,sesame,e,f")][..],
        &[("METRICS_PASS", "sesame")],
    ] {
        let error = with_key(set).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("sesame"),
            "{error:?}"
        );
    }
    let secret = |name: &str| (name == "PCS_HMAC_KEY").then(|| "sesame".to_owned());
    let raw = RawConfig::read(&secret, &Flags::default()).unwrap();
    let shown = format!("{raw:?}");
    assert!(shown.contains("PCS_HMAC_KEY\": \"(secret)\""), "{shown}");
    let config = with_key(&[("METRICS_USER", "prom"), ("METRICS_PASS", "sesame")]).unwrap();
    assert!(!format!("{config:?}").contains("sesame"));
}

#[test]
fn a_scheme_without_its_key_does_not_start() {
    assert_eq!(config(&[]).unwrap_err().variable, "PCS_HMAC_KEY");
    assert_eq!(
        config(&[("PCS_SIGN_ALG", "ed25519")]).unwrap_err().variable,
        "PCS_ED25519_PUB_B64"
    );
    let small_order = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let set = [
        ("PCS_SIGN_ALG", "ed25519"),
        ("PCS_ED25519_PUB_B64", small_order),
    ];
    assert_eq!(config(&set).unwrap_err().variable, "PCS_ED25519_PUB_B64");
}

#[test]
fn several_keys_make_one_set_and_unsigned_needs_its_opt_in() {
    assert!(config(&[("PCS_HMAC_KEYS", "k1,k2")]).is_ok());
    assert!(config(&[("PCS_HMAC_KEYS", "k1,k2"), ("PCS_HMAC_KEY", "k1")]).is_ok());
    let config = config(&[("PCS_SIGN_ALG", "none"), ("FLK_ALLOW_UNSIGNED", "1")]).unwrap();
    assert!(config.document.tenants[0].unsigned);
}

#[test]
fn metrics_credentials_come_together() {
    assert_eq!(
        with_key(&[("METRICS_USER", "prom")]).unwrap_err().variable,
        "METRICS_PASS"
    );
    let config = with_key(&[("METRICS_USER", "Aladdin"), ("METRICS_PASS", "open sesame")]).unwrap();
    assert_eq!(
        *config.metrics_auth.unwrap().expected,
        b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    );
}

#[test]
fn an_ipv6_address_may_stand_in_brackets() {
    for (typed, shown) in [
        ("::", "[::]:8080"),
        ("[::]", "[::]:8080"),
        ("[::1]", "[::1]:8080"),
        (" 0.0.0.0 ", "0.0.0.0:8080"),
    ] {
        let config = with_key(&[("LISTEN", typed)]).unwrap();
        assert_eq!(config.listen.to_string(), shown);
    }
}

#[test]
fn every_mistake_of_a_start_is_named_and_that_of_an_argument_by_its_key() {
    let argument = |variable: Variable, text: &str| (variable, text.to_owned());
    let flags = Flags {
        file: None,
        settings: vec![
            argument(Variable::Port, "x"),
            argument(Variable::HmacKey, "/nowhere/key"),
            argument(Variable::OtlpHeaders, "/nowhere/headers"),
            argument(Variable::DedupTtl, "soon"),
        ],
    };
    let mistakes = Config::from_process(Environment::default(), &flags).unwrap_err();
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    for start in [
        "--http.port=x: not a port; allowed: 0 to 65535",
        "--signing.hmac_key_file=/nowhere/key: ",
        "--traces.otlp_headers_file=/nowhere/headers: ",
        "--dedup.ttl=soon: ",
    ] {
        let of_it = told.iter().filter(|it| it.starts_with(start));
        assert_eq!(of_it.count(), 1, "{start}: {told:?}");
    }
    assert_eq!(told.len(), 4, "{told:?}");
}
