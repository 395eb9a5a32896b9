//! `flk doctor --telemetry`: what running processes show, against what is declared. It reads pages of metrics and changes
//! nothing.

use super::finding::{Finding, Place};
use crate::exit::Failure;
use crate::output::counted;
use crate::page::Page;
use crate::telemetry::compare::{Compared, compare};
use flk_dataplane::driver::listen::reachable;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Differences that are named; how many there are is always said.
const NAMED_MAX: usize = 20;

/// Checks the pages of these processes; without any, that of the gateway that the settings name.
pub(super) fn check(urls: &[String]) -> Result<Vec<Finding>, Failure> {
    let config = super::settings::read().config;
    let urls = match urls {
        [] => vec![format!("http://{}", reachable(config.listen))],
        urls => urls.to_vec(),
    };
    let credentials = config.metrics_auth.as_ref();
    let credentials = credentials.map(|it| String::from_utf8_lossy(&it.expected).into_owned());
    let mut findings = Vec::new();
    for url in &urls {
        let mut page = Page::of_url(url)?;
        if let Some(credentials) = &credentials {
            page = page.with_credentials(credentials);
        }
        findings.push(finding(&page.url(), compare(&page.fetch()?)));
    }
    Ok(findings)
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
