//! Tests of what needs attention: rules of the shipped file over numbers that the tests give.

use super::*;
use crate::console::page::samples;
use serde::Deserialize;

/// Alerts that one gateway cannot judge, with the reason.
const LEFT_TO_PROMETHEUS: [(&str, &str); 12] = [
    ("FLKAvailabilityBurnTrend", "three days"),
    ("FLKDedupOutOfBand", "a mean of seven days"),
    ("FLKBackendDown", "from outside"),
    ("FLKNoTargets", "from outside"),
    ("FLKHealthCheckFailing", "from outside"),
    ("FLKControlDown", "from outside"),
    ("FLKHighMemory", "the limit of a container"),
    ("FLKBackupOld", "another program"),
    ("FLKBackupUnproven", "another program"),
    ("FLKFlushSlow", "a mean of a day"),
    ("FLKClockDrift", "another program"),
    ("FLKCertificateExpiry", "from outside"),
];

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<InYaml>,
}

#[derive(Deserialize)]
struct InYaml {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    #[serde(rename = "for", default)]
    holds: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

fn in_yaml() -> Vec<InYaml> {
    let file: File = serde_norway::from_str(RULES).unwrap();
    file.groups.into_iter().flat_map(|it| it.rules).collect()
}

#[test]
fn rules_are_read_as_a_yaml_library_reads_them() {
    let (read, expected) = (rules::read(RULES), in_yaml());
    assert_eq!(read.len(), expected.len());
    for (rule, it) in read.iter().zip(expected) {
        assert_eq!(rule.is_alert, it.alert.is_some(), "{}", rule.name);
        assert_eq!(Some(&rule.name), it.alert.as_ref().or(it.record.as_ref()));
        assert_eq!(rule.condition, it.expr);
        let holds = if it.holds.is_empty() { "0s" } else { &it.holds };
        assert_eq!(
            Some(rule.for_ms),
            rules::milliseconds(holds),
            "{}",
            rule.name
        );
        let text = |name: &str| it.annotations.get(name).map_or("", String::as_str);
        assert_eq!(rule.summary, text("summary"));
        assert_eq!(rule.description, text("description"));
        if rule.is_alert {
            assert_eq!(
                text("runbook_url"),
                format!("docs/runbooks/{}.md", rule.runbook)
            );
            let expected = match it.labels["severity"].as_str() {
                "page" | "critical" => Severity::Page,
                "warning" => Severity::Ticket,
                "info" => Severity::Info,
                other => panic!("{other}: no such severity"),
            };
            assert_eq!(rule.severity, expected, "{}", rule.name);
        }
    }
}

#[test]
fn every_alert_is_judged_or_left_to_prometheus_for_a_reason() {
    let judged = judged(&rules::read(RULES));
    let judged: BTreeSet<&str> = judged.iter().map(|it| it.rule.name.as_str()).collect();
    let left: BTreeSet<&str> = LEFT_TO_PROMETHEUS.iter().map(|(name, _)| *name).collect();
    let alerts = in_yaml();
    let alerts: BTreeSet<&str> = alerts.iter().filter_map(|it| it.alert.as_deref()).collect();
    assert_eq!(
        judged.union(&left).copied().collect::<BTreeSet<_>>(),
        alerts
    );
    assert_eq!(
        judged.intersection(&left).collect::<Vec<_>>(),
        Vec::<&&str>::new()
    );
}

#[test]
fn every_runbook_is_a_page() {
    for rule in rules::read(RULES).iter().filter(|it| it.is_alert) {
        let page = format!(
            "{}/../docs/runbooks/{}.md",
            env!("CARGO_MANIFEST_DIR"),
            rule.runbook
        );
        assert!(std::path::Path::new(&page).is_file(), "{page}");
    }
}

/// A gateway whose numbers a test says, each second anew.
struct Told {
    attention: Attention,
    now_ms: u64,
}

impl Told {
    fn new() -> Told {
        Told {
            attention: Attention::default(),
            now_ms: 1_800_000_000_000,
        }
    }

    /// So many seconds with pages that a function makes of the seconds since this began; what needs attention at their end.
    fn seconds(&mut self, count: u64, page: impl Fn(u64) -> String) -> Vec<Matter> {
        let mut matters = Vec::new();
        for second in 1..=count {
            self.now_ms += 1000;
            self.attention.take(self.now_ms, samples(&page(second)));
            if second % 10 == 0 || second == count {
                matters = self.attention.judge(self.now_ms);
            }
        }
        matters
    }
}

fn names(matters: &[Matter]) -> Vec<&str> {
    matters.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn a_condition_counts_once_it_has_held_for_its_time_and_until_it_holds_no_more() {
    let mut told = Told::new();
    let stuck = |value: u8| {
        format!("flk_shard_stuck{{shard=\"0\"}} 0\nflk_shard_stuck{{shard=\"3\"}} {value}\n")
    };
    assert_eq!(told.seconds(60, |_| stuck(1)), []);
    let matters = told.seconds(20, |_| stuck(1));
    assert_eq!(names(&matters), ["FLKShardUnhealthy"]);
    assert_eq!(
        matters[0].words,
        "Shard 3 of this gateway has made no turn for more than a minute."
    );
    assert_eq!(
        (matters[0].severity, matters[0].runbook.as_str()),
        (Severity::Page, "shard-stuck")
    );
    assert_eq!(matters[0].since_ms, 1_800_000_010_000);
    assert_eq!(told.seconds(10, |_| stuck(0)), []);
    assert_eq!(told.seconds(30, |_| stuck(1)), [], "it begins anew");
}

#[test]
fn growth_is_counted_over_the_time_that_the_rule_says_and_over_a_restart() {
    let mut told = Told::new();
    let errors = |value: u64| format!("flk_wal_errors {value}\n");
    assert_eq!(
        told.seconds(30, |_| errors(7)),
        [],
        "what was before is no growth"
    );
    assert_eq!(names(&told.seconds(10, |_| errors(8))), ["FLKWALErrors"]);
    assert_eq!(names(&told.seconds(570, |_| errors(8))), ["FLKWALErrors"]);
    assert_eq!(told.seconds(120, |_| errors(8)), []);
    // A gateway that was started again has counted one since.
    let matters = told.seconds(10, |_| errors(1));
    assert_eq!(
        matters[0].words,
        "1 writes or syncs of this gateway failed in 10 minutes."
    );
}

#[test]
fn the_most_urgent_of_many_is_shown_first_and_the_least_urgent_is_left_out() {
    let mut told = Told::new();
    let key = |at: u64| format!("flk_key_begins_seconds{{tenant=\"acme\",key=\"{at}\"}} 1000\n");
    let many: String = (0..2 * SHOWN_MAX as u64).map(key).collect();
    let matters = told.seconds(100, |_| format!("{many}flk_tenants_closed 1\n"));
    assert_eq!(matters.len(), SHOWN_MAX);
    assert_eq!(matters[0].name, "FLKTenantsClosed");
    assert_eq!(matters[1].name, "FLKKeyOld");
}

#[test]
fn growth_before_a_gateway_went_is_over_when_its_time_is_over() {
    let mut told = Told::new();
    let errors = |value: u64| format!("flk_wal_errors {value}\n");
    told.seconds(30, |_| errors(7));
    assert_eq!(names(&told.seconds(10, |_| errors(8))), ["FLKWALErrors"]);
    let away = |_| String::new();
    assert_eq!(names(&told.seconds(590, away)), ["FLKWALErrors"]);
    assert_eq!(told.seconds(20, away), []);
}

#[test]
fn shares_rates_and_quantiles_are_those_of_prometheus() {
    let mut told = Told::new();
    // 100 records a second: 3 are escalated, 10 have no valid signature, and one in ten takes a second.
    let page = |from: u64| {
        move |second: u64| {
            let at = from + second;
            format!(
                "flk_ingest_total {}\nflk_escalated {}\nflk_signature_errors {}\n\
             http_requests_total{{code=\"200\"}} {}\nhttp_requests_total{{code=\"503\"}} 0\n\
             http_request_duration_seconds_bucket{{le=\"0.1\"}} {}\n\
             http_request_duration_seconds_bucket{{le=\"0.5\"}} {}\n\
             http_request_duration_seconds_bucket{{le=\"1\"}} {}\n\
             http_request_duration_seconds_bucket{{le=\"+Inf\"}} {}\n\
             http_request_duration_seconds_count {}\n",
                at * 100,
                at * 3,
                at * 11,
                at * 100,
                at * 90,
                at * 90,
                at * 100,
                at * 100,
                at * 100,
            )
        }
    };
    assert_eq!(told.seconds(290, page(0)), []);
    let matters = told.seconds(400, page(290));
    assert_eq!(
        names(&matters),
        [
            "FLKErrorBudgetBurn",
            "FLKHighLatency",
            "FLKSignatureFailuresSpike"
        ]
    );
    assert!(
        matters[0].words.starts_with("3 % of records"),
        "{}",
        matters[0].words
    );
    assert!(
        matters[1].words.contains("p95 of answers is 750ms"),
        "{}",
        matters[1].words
    );
    assert!(
        matters[2].words.starts_with("11 records a second"),
        "{}",
        matters[2].words
    );
}

#[test]
fn a_tenant_over_its_rate_is_named_and_the_others_are_not() {
    let mut told = Told::new();
    let page = |second: u64| {
        format!(
            "flk_rate_limited_by_tenant{{tenant=\"acme\"}} {}\nflk_quota_exceeded_by_tenant{{tenant=\"acme\"}} 0\n\
             flk_rate_limited_by_tenant{{tenant=\"beta\"}} 5\nflk_quota_exceeded_by_tenant{{tenant=\"beta\"}} 0\n",
            second * 2
        )
    };
    let matters = told.seconds(1000, page);
    assert_eq!(names(&matters), ["FLKThrottled"]);
    assert!(
        matters[0].words.starts_with("acme gets 2 answers 429"),
        "{}",
        matters[0].words
    );
    assert_eq!(matters[0].severity, Severity::Info);
}

#[test]
fn the_disk_under_the_log_is_judged_by_what_control_measures() {
    let mut told = Told::new();
    let [available, size] = DISK;
    let matters = told.seconds(1000, |_| format!("{available} 10\n{size} 100\n"));
    assert_eq!(names(&matters), ["FLKWALDiskPressure"]);
    assert!(
        matters[0].words.contains("is 90 % full"),
        "{}",
        matters[0].words
    );
}

#[test]
fn times_of_keys_are_compared_with_the_clock() {
    let mut told = Told::new();
    let page = |_| {
        "flk_key_ends_seconds{tenant=\"acme\",key=\"old\"} 1800100000\n\
         flk_key_ends_seconds{tenant=\"acme\",key=\"none\"} 0\n\
         flk_key_begins_seconds{tenant=\"acme\",key=\"old\"} 1790000000\n\
         flk_key_begins_seconds{tenant=\"acme\",key=\"none\"} 0\n"
            .to_owned()
    };
    let matters = told.seconds(10, page);
    assert_eq!(names(&matters), ["FLKKeyOld", "FLKKeyEnds"]);
    assert!(
        matters[1]
            .words
            .contains("The key old of acme ends in 1d 3h"),
        "{}",
        matters[1].words
    );
}

#[test]
fn a_gateway_that_is_away_is_no_gateway_without_errors() {
    let mut told = Told::new();
    let away = "flk_control_dataplane_up 0\nflk_control_configuration_in_force 1\n";
    let matters = told.seconds(200, |_| away.to_owned());
    assert_eq!(names(&matters), ["FLKControlAlone"]);
}
