//! A run as one HTML page that needs nothing else: tables and plots, light or dark as the reader's system is. All text in it is
//! escaped, also what a gateway said.

use super::amounts::{latency_text, rate_text};
use super::compare;
use super::plot::{Axis, Line, Scale, escaped, plot};
use super::report::{self, pace};
use super::saved::{Point, Saved, Spread};
use std::fmt::Write as _;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2024;--soft:#697077;--grid:#dde1e6;--page:#fff;--one:#0f62fe;--two:#da6a00;--three:#8a3ffc;--four:#198038}\
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#9aa0a6;--grid:#3a3f45;--page:#15181b;--one:#78a9ff;--two:#ff9d4d;--three:#be95ff;--four:#42be65}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:900px;margin:2em auto;padding:0 1em}\
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}pre{overflow-x:auto;font-size:13px;line-height:1.4}\
svg{width:100%;height:auto;margin:.8em 0;font:11px system-ui,sans-serif}\
svg text{fill:var(--soft)}svg .title{fill:var(--ink);font-weight:600}.grid{stroke:var(--grid)}\
polyline{fill:none;stroke-width:1.6}\
polyline.one{stroke:var(--one)}polyline.two{stroke:var(--two)}polyline.three{stroke:var(--three)}polyline.four{stroke:var(--four)}\
svg text.one{fill:var(--one)}svg text.two{fill:var(--two)}svg text.three{fill:var(--three)}svg text.four{fill:var(--four)}\
.limit{border:2px solid var(--two);padding:.5em 1em}";

/// The whole page of a run, beside an earlier one if there is one.
pub(super) fn page(run: &Saved, then: Option<&Saved>) -> String {
    let title = format!("flk bench: {}", pace(&run.settings));
    let title = escaped(&title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    let _ = writeln!(
        html,
        "<p>{} to {} ({})</p>",
        escaped(&run.began),
        escaped(&run.target.url),
        escaped(&run.target.address)
    );
    if run.generator.was_limit {
        let reasons = escaped(&run.generator.reasons.join("; "));
        let _ = writeln!(
            html,
            "<p class=\"limit\"><b>The generator was the limit</b>: {reasons}</p>"
        );
    }
    if let Some(refused) = report::most_refused(&run.figures) {
        let _ = writeln!(html, "<p class=\"limit\"><b>{}</b></p>", escaped(&refused));
    }
    html.push_str(&percentiles(run, then));
    html.push_str(&over_time(run));
    html.push_str("<h2>Figures</h2>\n");
    html.push_str(&preformatted(&report::lines(run)));
    if let Some(then) = then {
        html.push_str("<h2>Against the earlier run</h2>\n");
        html.push_str(&preformatted(&compare::lines(run, then)));
    }
    html.push_str("<h2>Where and how</h2>\n");
    html.push_str(&preformatted(&origin(run)));
    html + "</body></html>\n"
}

fn preformatted(lines: &[String]) -> String {
    format!(
        "<pre>{}</pre>\n",
        lines
            .iter()
            .map(|it| escaped(it))
            .collect::<Vec<_>>()
            .join("\n")
    )
}

fn origin(run: &Saved) -> Vec<String> {
    let machine = &run.machine;
    vec![
        format!(
            "generator  flk {} on {} CPUs of {}, Linux {}",
            run.flk, machine.cpus_count, machine.cpu, machine.kernel
        ),
        format!("gateway    {}", run.target.version),
        format!("arguments  {}", run.arguments.join(" ")),
    ]
}

fn percentiles(run: &Saved, then: Option<&Saved>) -> String {
    let line = |name: &str, class, spread: &Spread| Line {
        name: name.to_owned(),
        class,
        points: spread
            .percentiles
            .iter()
            .map(|(at, ns)| (*at, *ns as f64))
            .collect(),
    };
    let figures = &run.figures;
    let mut lines = Vec::new();
    if run.settings.rate.is_some() {
        lines.push(line("from when it was due", "one", &figures.from_due));
    }
    lines.push(line("from when it was sent", "two", &figures.from_sent));
    lines.push(line("lag of the generator", "four", &figures.lag));
    if let Some(then) = then {
        lines.push(line("earlier run", "three", &then.figures.from_due));
    }
    let all = || lines.iter().flat_map(|it| &it.points);
    let x = Axis::over(Scale::Percentiles, all().map(|it| it.0), percent_text);
    let y = Axis::over(Scale::Logarithmic, all().map(|it| it.1), tick_text);
    plot("Latency by percentile", &x, &y, &lines)
}

/// A percentile with as many digits as it needs.
fn percent_text(part: f64) -> String {
    let text = format!("{:.4}", part * 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

fn seconds_text(value: f64) -> String {
    format!("{value} s")
}

/// A latency at an axis, without the zeros of a measured one.
fn tick_text(nanoseconds: f64) -> String {
    let text = latency_text(nanoseconds);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    match number.contains('.') {
        true => format!(
            "{} {unit}",
            number.trim_end_matches('0').trim_end_matches('.')
        ),
        false => text,
    }
}

fn over_time(run: &Saved) -> String {
    // What comes after the end are late answers, which are no rate.
    let end_s = run.settings.warm_up_s + run.figures.measured_s;
    let seconds = run.seconds.iter().filter(|it| (it.second as f64) < end_s);
    let seconds: Vec<&Point> = seconds.collect();
    let line = |name: &str, class, value: fn(&Point) -> Option<u64>| {
        let point = |it: &&Point| Some((it.second as f64, value(it)? as f64));
        Line {
            name: name.to_owned(),
            class,
            points: seconds.iter().filter_map(point).collect(),
        }
    };
    let last = seconds.last().map_or(1.0, |it| it.second as f64);
    let x = || Axis::over(Scale::Linear, [last].into_iter(), seconds_text);
    let rates = [
        line("sent", "two", |it| Some(it.sent)),
        line("answered", "one", |it| Some(it.answered)),
        line("errors", "three", |it| Some(it.errors)),
    ];
    // A second of the warm-up, or one without an answer, has none.
    let latencies = [
        line("p50", "four", |it| (it.max_ns > 0).then_some(it.p50_ns)),
        line("p99", "one", |it| (it.max_ns > 0).then_some(it.p99_ns)),
        line("max", "two", |it| (it.max_ns > 0).then_some(it.max_ns)),
    ];
    let values = |lines: &[Line]| -> Vec<f64> {
        let points = lines.iter().flat_map(|it| &it.points);
        points.map(|it| it.1).collect()
    };
    let rate = Axis::over(Scale::Linear, values(&rates).into_iter(), rate_text);
    let latency = Axis::over(
        Scale::Logarithmic,
        values(&latencies).into_iter(),
        tick_text,
    );
    plot("Requests per second", &x(), &rate, &rates)
        + &plot("Latency over time", &x(), &latency, &latencies)
}

#[cfg(test)]
mod tests {
    use super::super::saved::tests::saved;
    use super::*;

    #[test]
    fn a_page_has_everything_in_itself() {
        let run = saved();
        let html = page(&run, Some(&run));
        for part in [
            "Latency by percentile",
            "99.9 %",
            "earlier run",
            "this run",
            "prefers-color-scheme:dark",
            "answered          1000",
        ] {
            assert!(html.contains(part), "{part}");
        }
        // What would be loaded from elsewhere, or run.
        for part in [
            "src=", "href=", "url(", "@import", "<script", "<link", "NaN",
        ] {
            assert!(!html.contains(part), "{part}");
        }
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
        assert_eq!(html.matches("<svg").count(), 3);
    }

    #[test]
    fn hostile_texts_of_a_run_are_text_in_the_page() {
        let mut run = saved();
        let hostile = "<script>alert('x')</script>&\"";
        run.target.url = hostile.to_owned();
        run.target.version = serde_json::json!({ "version": hostile });
        run.arguments = vec![hostile.to_owned()];
        run.machine.cpu = hostile.to_owned();
        run.settings.arrivals = hostile.to_owned();
        run.figures.wrong[0].kind = hostile.to_owned();
        run.figures.statuses.insert(hostile.to_owned(), 1);
        run.generator.was_limit = true;
        run.generator.reasons = vec![hostile.to_owned()];
        let html = page(&run, Some(&run));
        assert!(!html.contains("<script"), "{html}");
        assert!(html.matches("&lt;script&gt;").count() >= 8, "{html}");
    }

    #[test]
    fn an_axis_has_no_zeros_behind_its_numbers() {
        for (nanoseconds, expect) in [(1e6, "1 ms"), (1e7, "10 ms"), (1e8, "100 ms"), (1e9, "1 s")]
        {
            assert_eq!(tick_text(nanoseconds), expect);
        }
    }

    #[test]
    fn a_run_without_an_answer_has_a_page_too() {
        let mut run = saved();
        run.seconds.clear();
        run.figures = super::super::saved::Figures::default();
        assert!(!page(&run, None).contains("NaN"));
    }
}
