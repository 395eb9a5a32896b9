//! Warns of variables that look like settings and are not: a misspelt name would otherwise silently leave the default in
//! force. It sees only names, never values.

use super::variables::{FILE_VARIABLE, VARIABLES};
use std::collections::BTreeSet;

/// Prefixes of settings.
const PREFIXES: [&str; 7] = [
    "FLK_", "PCS_", "DEDUP_", "WAL_", "METRICS_", "TOKEN_", "TENANTS_",
];

/// Read by the command line.
const COMMAND_LINE: [&str; 3] = ["FLK_URL", AGENT_KEY, "FLK_ADMIN_TOKEN_FILE"];

/// The private key of an agent.
pub(super) const AGENT_KEY: &str = "PCS_ED25519_PRIV_B64";

/// Read only by the tests of this repository.
const TESTS: [&str; 14] = [
    "FLK_AGE_VECTORS",
    "FLK_BIN",
    "FLK_SKIPPED_LIST",
    "FLK_PLANTED_BIN",
    "FLK_PLANT",
    "FLK_DIE_AT",
    "FLK_TEST_LIMITS",
    "FLK_HANG_AT",
    "FLK_CORPORA",
    "FLK_NUMBERS",
    "FLK_TRANSCRIPTS",
    "FLK_MUTANT",
    "FLK_MUTANTS_ASKED",
    "FLK_POWERCUT_UNSHARED",
];

/// Words that users often add to the name of a setting.
const QUALIFIERS: [&str; 14] = [
    "ADDR", "ADDRESS", "IP", "BIND", "HOST", "HTTP", "SERVER", "LISTEN", "TIMEOUT", "SECONDS",
    "SEC", "SIZE", "MAX", "DEFAULT",
];

/// Parts of settings without their prefix that other programs use too.
const COMMON: [&str; 14] = [
    "USER",
    "PASS",
    "PASSWORD",
    "DIR",
    "URL",
    "TTL",
    "RATE",
    "BACKEND",
    "MAX_AGE",
    "MAX_BYTES",
    "SERVICE_NAME",
    "SAMPLE",
    "FORMAT",
    "PROFILE",
];

/// A warning for each name that looks like a setting and is not, with the nearest setting.
pub fn warnings(names: &BTreeSet<String>) -> Vec<String> {
    let unknown = names.iter().filter(|name| !is_service_link(name, names));
    unknown.filter_map(|name| warning(name)).collect()
}

/// Variables of the OpenTelemetry SDKs that flk does not read, by their beginnings, and what to do in place of them.
const OF_OTEL: [(&str, &str); 6] = [
    (
        "OTEL_TRACES_SAMPLER",
        "TRACE_SAMPLE and TRACES_PER_SECOND_MAX say which records are traced",
    ),
    (
        "OTEL_SDK_DISABLED",
        "without OTEL_EXPORTER_OTLP_ENDPOINT no span is sent",
    ),
    (
        "OTEL_TRACES_EXPORTER",
        "without OTEL_EXPORTER_OTLP_ENDPOINT no span is sent",
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_EXPORTER_OTLP_HEADERS is",
    ),
    (
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "spans are sent by http/protobuf",
    ),
    (
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "spans are sent by http/protobuf",
    ),
];

/// A line for each variable of the OpenTelemetry SDKs that is set and not read: they are no mistakes, for other programs of the
/// same environment may read them.
pub fn unread_of_otel(names: &BTreeSet<String>) -> Vec<String> {
    let unread = names.iter().filter(|name| is_unread_of_otel(name));
    let line = |name: &String| match OF_OTEL.iter().find(|(begin, _)| name.starts_with(begin)) {
        Some((_, instead)) => format!("{name} is not read: {instead}"),
        None => format!("{name} is not read"),
    };
    unread.map(line).collect()
}

fn is_unread_of_otel(name: &str) -> bool {
    name.starts_with("OTEL_") && !is_known(name)
}

fn warning(name: &str) -> Option<String> {
    if is_known(name) || is_unread_of_otel(name) {
        return None;
    }
    let is_ours = looks_like_a_setting(name);
    let (distance, nearest) = nearest(&name.to_ascii_uppercase(), known())?;
    // A short name is close to others by chance; a name with one of the prefixes belongs to flk.
    let near = match name.len() {
        length if is_ours => (length / 2).min(4),
        0..=4 => 0,
        5..=7 => 1,
        _ => 2,
    };
    let meant = match distance <= near {
        true => Some(nearest),
        false => known().find(|known| says_the_same(name, known)),
    };
    match (meant, is_ours) {
        (Some(meant), _) => Some(format!(
            "{name} is not a setting and is not read; is {meant} meant?"
        )),
        (None, true) => Some(format!("{name} is not a setting and is not read")),
        (None, false) => None,
    }
}

/// Whether a name has a prefix of settings and is none of them.
pub(super) fn looks_like_a_setting(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !is_known(name)
}

/// Whether a variable holds headers for a collector and is none that flk reads.
pub(super) fn may_hold_credentials(name: &str) -> bool {
    is_unread_of_otel(name) && name.ends_with("_HEADERS")
}

fn is_known(name: &str) -> bool {
    known().any(|known| known == name) || TESTS.contains(&name)
}

/// Whether a name is that of a setting, with or without its prefix and with words that users often add.
fn says_the_same(name: &str, known: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let without_family = known.split_once('_').map(|(_, rest)| rest);
    let without_family = without_family.filter(|rest| !COMMON.contains(rest));
    [Some(known), without_family]
        .into_iter()
        .flatten()
        .any(|core| {
            let mut left: Vec<&str> = name.split('_').collect();
            let is_there = core.split('_').all(|word| {
                let at = left.iter().position(|other| *other == word);
                at.map(|at| left.remove(at)).is_some()
            });
            is_there && left.iter().all(|word| QUALIFIERS.contains(word))
        })
}

fn known() -> impl Iterator<Item = &'static str> {
    let settings = VARIABLES.iter().map(|variable| variable.name());
    let files = VARIABLES.iter().filter_map(|variable| variable.file_name());
    let aliases = VARIABLES.iter().filter_map(|variable| variable.alias());
    settings
        .chain(files)
        .chain(aliases)
        .chain([FILE_VARIABLE])
        .chain(COMMAND_LINE)
}

/// Kubernetes sets `NAME_SERVICE_HOST`, `NAME_PORT_8080_TCP_ADDR` and their like for each service; one may be called flk.
fn is_service_link(name: &str, all: &BTreeSet<String>) -> bool {
    const MARKS: [&str; 3] = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
    let mut services = MARKS.iter().filter_map(|mark| name.find(mark));
    services.any(|at| all.contains(&format!("{}_SERVICE_HOST", &name[..at])))
}

/// The name that is nearest to this one, and how far it is.
pub(super) fn nearest<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<(usize, &'a str)> {
    let with_distance = known.map(|known| (distance(name, known), known));
    with_distance.min_by_key(|&(distance, _)| distance)
}

/// The edit distance of two names: letters to insert, remove, replace or swap.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Vec<String> {
        let service = ["FLK_SERVICE_HOST", "FLK_SERVICE_PORT", name];
        warnings(&service.map(str::to_owned).into())
    }

    #[test]
    fn a_misspelt_name_is_told_with_the_one_that_is_meant() {
        for (typed, meant) in [
            ("DEDUP_TLL", "DEDUP_TTL"),
            ("FLK_CORE", "FLK_CORES"),
            ("FLK_DRIVRE", "FLK_DRIVER"),
            ("WALDIR", "WAL_DIR"),
            ("LISTENS", "LISTEN"),
            ("dedup_ttl", "DEDUP_TTL"),
            ("port", "PORT"),
            ("METRIC_USER", "METRICS_USER"),
            ("WAL_MAX_BYTE", "WAL_MAX_BYTES"),
            ("LISTEN_ADDR", "LISTEN"),
            ("LISTEN_ADDRESS", "LISTEN"),
            ("LISTEN_PORT", "PORT"),
            ("HTTP_PORT", "PORT"),
            ("KEEPALIVE", "HTTP_KEEPALIVE"),
            ("KEEPALIVE_TIMEOUT", "HTTP_KEEPALIVE"),
            ("HTTP_KEEPALIVE_TIMEOUT", "HTTP_KEEPALIVE"),
            ("CORES", "FLK_CORES"),
            ("HMAC_KEY", "PCS_HMAC_KEY"),
            ("drain_delay", "FLK_DRAIN_DELAY"),
        ] {
            let told = of(typed).join("\n");
            let start = format!("{typed} is not a setting");
            assert!(
                told.starts_with(&start) && told.contains(&format!("is {meant} meant?")),
                "{told}"
            );
        }
        assert_eq!(
            of("FLK_SOMETHING_ELSE"),
            ["FLK_SOMETHING_ELSE is not a setting and is not read"]
        );
    }

    #[test]
    fn settings_and_the_variables_of_others_are_not_told() {
        let others = [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "HOST",
            "POST",
            "PATH",
            "HOME",
            "LANG",
            "LINES",
            "SHELL",
            "USER",
            "FLK_SERVICE_HOST",
            "FLK_SERVICE_PORT_HTTP",
            "FLK_PORT",
            "FLK_PORT_8080_TCP_ADDR",
            "LISTEN_FDS",
            "LISTEN_PID",
            "LISTEN_FDNAMES",
            "DATABASE_PORT",
            "SSH_HOST",
            "MAX_BYTES",
            "DIR",
            "URL",
            "USER_DIR",
            "PASS",
            "HTTP_USER",
            "NOTIFY_SOCKET",
            "JOURNAL_STREAM",
            "RUST_BACKTRACE",
            "PROFILE",
            "AWS_PROFILE",
        ];
        for name in known().chain(TESTS).chain(others) {
            assert_eq!(of(name), [""; 0], "{name}");
        }
        let alone = BTreeSet::from(["FLK_PORT".to_owned()]);
        assert_eq!(warnings(&alone).len(), 1, "no service, so a mistake");
    }

    #[test]
    fn what_is_not_read_of_open_telemetry_is_told_with_what_is() {
        let names = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_HEADERS_FILE",
            "OTEL_SERVICE_NAME",
            "OTEL_TRACES_SAMPLER",
            "OTEL_TRACES_SAMPLER_ARG",
            "OTEL_PROPAGATORS",
            "HOTEL_ROOMS",
        ];
        let told = unread_of_otel(&names.map(str::to_owned).into());
        let [propagators, sampler, argument] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!(propagators, "OTEL_PROPAGATORS is not read");
        assert!(sampler.starts_with("OTEL_TRACES_SAMPLER is not read: TRACE_SAMPLE"));
        assert!(argument.starts_with("OTEL_TRACES_SAMPLER_ARG is not read: TRACE_SAMPLE"));
        for name in names {
            assert_eq!(of(name), [""; 0], "it is no mistake");
        }
    }

    #[test]
    fn a_distance_counts_single_mistakes() {
        for (a, b, expected) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("acb", "abc", 1),
            ("ab", "abc", 1),
            ("xbc", "abc", 1),
            ("abc", "xyz", 3),
        ] {
            assert_eq!(
                (distance(a, b), distance(b, a)),
                (expected, expected),
                "{a} {b}"
            );
        }
    }
}
