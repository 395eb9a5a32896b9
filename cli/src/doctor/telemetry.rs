//! `flk doctor --telemetry`: what running processes show, against what is declared. It reads pages of metrics and logs, and
//! changes nothing.

use super::finding::{Finding, Place};
use crate::admin::TokenArgs;
use crate::exit::{Exit, Failure};
use crate::fault;
use crate::output::{counted, printable};
use crate::page::Page;
use crate::telemetry::EVENTS;
use crate::telemetry::compare::{Compared, compare};
use flk_dataplane::driver::listen::reachable;
use flk_dataplane::logs::check::check_line;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Differences that are named; how many there are is always said.
const NAMED_MAX: usize = 20;

/// Checks these pages and this log; without any, the page of the gateway that the settings name. A process that does not answer,
/// or a log that cannot be read, is a finding like the others, and the exit code says which of them there was.
pub(super) fn check(
    urls: &[String],
    log: Option<&Path>,
    token: &TokenArgs,
) -> Result<(Vec<Finding>, Option<Exit>), Failure> {
    let config = super::settings::read().config;
    let typed = !urls.is_empty();
    let urls = match (urls, log) {
        ([], None) => vec![format!("http://{}", reachable(config.listen))],
        (urls, _) => urls.to_vec(),
    };
    let credentials = config.metrics_auth.as_ref();
    let credentials = credentials.map(|it| String::from_utf8_lossy(&it.expected).into_owned());
    // Nobody typed the address of the settings' gateway, which never asks for a token: whoever has its port by now must not get one.
    let token = match typed {
        true => token.read()?,
        false => None,
    };
    let pages = urls.iter().map(|url| {
        let mut page = Page::of_url(url)?;
        if let Some(credentials) = &credentials {
            page = page.with_credentials(credentials);
        }
        Ok(match &token {
            Some(token) => page.with_token(token),
            None => page,
        })
    });
    let pages = pages.collect::<Result<Vec<Page>, Failure>>()?;
    let mut end = None;
    let mut findings = Vec::new();
    for page in &pages {
        findings.push(page.fetch().map_or_else(
            |failure| missing("metrics", failure, &mut end),
            |text| finding(&page.url(), compare(&text)),
        ));
    }
    if let Some(path) = log {
        let found = log_finding(path);
        findings.push(found.unwrap_or_else(|failure| missing("log", failure, &mut end)));
    }
    Ok((findings, end))
}

/// There is nothing to compare; the first of several decides how the command ends.
fn missing(check: &'static str, failure: Failure, end: &mut Option<Exit>) -> Finding {
    end.get_or_insert(failure.exit());
    let needed = "a process that answers, or a log that can be read";
    Finding::fail(check, failure.text(), needed).fix(
        Place::Setting,
        "--url: the address of a gateway, or of flk-control with --token-file where it has tokens; --log: a log in JSON",
    )
}

fn log_finding(path: &Path) -> Result<Finding, Failure> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        Failure::with(
            Exit::File,
            format!("cannot read {name}: {}", fault::why(&error)),
        )
    };
    let input: Box<dyn Read> = match name.as_str() {
        "-" => Box::new(std::io::stdin()),
        _ => Box::new(File::open(path).map_err(unreadable)?),
    };
    let mut lines_count = 0;
    let mut differences = Vec::new();
    let mut differences_count = 0;
    for (number, line) in (1_u64..).zip(BufReader::new(input).lines()) {
        let line = line.map_err(unreadable)?;
        lines_count = number;
        if let Err(difference) = check_line(&line, &EVENTS) {
            differences_count += 1;
            if differences.len() < NAMED_MAX {
                differences.push(format!("line {number}: {}", printable(&difference)));
            }
        }
    }
    let check = "log";
    let lines = counted(lines_count, "line");
    if differences_count == 0 {
        return Ok(Finding::ok(
            check,
            format!("{name} has {lines}, each as declared"),
        ));
    }
    let more = differences_count - differences.len();
    if more > 0 {
        differences.push(format!("{more} more"));
    }
    let needed =
        format!("lines of LOG_FORMAT=json as docs/telemetry/registry declares of flk {VERSION}");
    let found = format!("{name}: {}", differences.join("; "));
    Ok(Finding::fail(check, found, needed).fix(
        Place::Setting,
        "LOG_FORMAT=json; run the doctor of the same version as the process that wrote it",
    ))
}

fn finding(url: &str, compared: Option<Compared>) -> Finding {
    let check = "metrics";
    let needed = format!("what docs/telemetry/registry declares of flk {VERSION}");
    let Some(compared) = compared else {
        return Finding::fail(check, format!("{url} is no page of flk"), needed).fix(
            Place::Setting,
            "--url names a gateway or the admin address of flk-control",
        );
    };
    let programs: Vec<&str> = compared.processes.iter().map(|it| it.program()).collect();
    let programs = programs.join(" and ");
    let differences = &compared.differences;
    if differences.is_empty() {
        let families = counted(compared.families_count as u64, "family");
        return Finding::ok(
            check,
            format!("{url} has {families} of {programs}, all as declared"),
        );
    }
    let mut found: Vec<String> = differences.iter().map(ToString::to_string).collect();
    let more = found.len().saturating_sub(NAMED_MAX);
    found.truncate(NAMED_MAX);
    if more > 0 {
        found.push(format!("{more} more"));
    }
    Finding::fail(check, format!("{url}: {}", found.join("; ")), needed).fix(
        Place::Setting,
        "run the doctor of the same version as the gateway: flk --version, flk_build_info",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;
    use crate::telemetry::Process;
    use crate::telemetry::compare::Difference;

    fn with(differences: usize) -> Finding {
        let undeclared = |at| Difference::Undeclared(format!("a{at}"));
        finding(
            "http://a/metrics",
            Some(Compared {
                families_count: 7,
                processes: vec![Process::Dataplane],
                differences: (0..differences).map(undeclared).collect(),
            }),
        )
    }

    #[test]
    fn lines_of_a_log_are_events_of_the_tables() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let good = r#"{"time":"2026-11-29T17:28:31.123456Z","level":"info","component":"dataplane","event":"signal.reload","message":"a"}"#;
        std::fs::write(&path, format!("{good}\n{good}\n")).unwrap();
        let found = log_finding(&path).unwrap();
        assert_eq!(found.level, Level::Ok);
        assert!(found.found.ends_with("has 2 lines, each as declared"));
        let bad = good.replace("signal.reload", "signal.unload");
        let lines = [[good; 3].join("\n"), [bad.as_str(); 25].join("\n")];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let found = log_finding(&path).unwrap();
        assert_eq!(found.level, Level::Fail);
        assert!(
            found.found.contains("line 4: `signal.unload` is no event"),
            "{found:?}"
        );
        assert!(found.found.ends_with("; 5 more"), "{found:?}");
        assert!(log_finding(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_log_alone_needs_no_gateway() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "").unwrap();
        let (findings, end) = check(&[], Some(&path), &TokenArgs::default()).unwrap();
        assert_eq!(end, None);
        let found: Vec<&str> = findings.iter().map(|it| it.found.as_str()).collect();
        let expected = format!("{} has 0 lines, each as declared", path.display());
        assert_eq!(found, [expected]);
    }

    #[test]
    fn differences_are_a_failure_and_the_first_ones_are_named() {
        assert_eq!(with(0).level, Level::Ok);
        assert_eq!(
            with(0).found,
            "http://a/metrics has 7 families of flk-dataplane, all as declared"
        );
        let one = with(1);
        assert_eq!(one.level, Level::Fail);
        assert_eq!(one.found, "http://a/metrics: a0 is not declared");
        let many = with(NAMED_MAX + 3).found;
        assert!(many.ends_with("a19 is not declared; 3 more"), "{many}");
        assert_eq!(finding("http://a/metrics", None).level, Level::Fail);
    }
}
