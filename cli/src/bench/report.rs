//! The text at the end of a run: what was sent and answered, what the mix had to get, latencies, and whether the generator was the
//! limit. It shows figures and computes none.

use super::amounts::{latency_text, rate_text, share_text};
use super::saved::{Figures, Saved, Settings, Spread};
use crate::output::{counted, printable};
use flk_bench_load::answer::Dedup;
use flk_bench_load::expected::{Worth, worth};
use flk_bench_load::mix::Kind;
use std::collections::BTreeMap;

/// Its lines.
pub(super) fn lines(run: &Saved) -> Vec<String> {
    let mut lines = vec![heading(run), String::new()];
    lines.extend(counts(&run.figures));
    lines.push(String::new());
    lines.extend(kinds(&run.figures));
    lines.push(String::new());
    lines.extend(latencies(run));
    lines.push(String::new());
    lines.extend(generator(run));
    lines
}

fn heading(run: &Saved) -> String {
    let (settings, address) = (&run.settings, &run.target.address);
    let end = match run.figures.interrupted {
        true => format!(", interrupted after {} s", run.figures.measured_s),
        false => String::new(),
    };
    format!(
        "{} ({address}): {}, {}, {}, seed {}{end}",
        printable(&run.target.url),
        pace(settings),
        counted(settings.connections as u64, "connection"),
        counted(settings.threads as u64, "sending thread"),
        settings.seed,
    )
}

/// How a run sends, in words.
pub(super) fn pace(settings: &Settings) -> String {
    let duration = settings.duration_s;
    let travel = travel(settings);
    match settings.rate {
        None => format!("closed loop for {duration} s{travel}"),
        Some([from, to]) => {
            let rate = match from == to {
                true => format!("{}/s", rate_text(from)),
                false => format!("{} to {}/s", rate_text(from), rate_text(to)),
            };
            let arrivals = &settings.arrivals;
            format!("open loop, {rate} for {duration} s, {arrivals} arrivals{travel}")
        }
    }
}

/// How records travel, where that is not one by one.
fn travel(settings: &Settings) -> String {
    let batch = settings.batch.map(|it| {
        let records = counted(u64::from(it), "record");
        format!(", {records} in a request")
    });
    let pipeline = (settings.pipeline > 1)
        .then(|| format!(", {} requests under way at a time", settings.pipeline));
    batch.unwrap_or_default() + &pipeline.unwrap_or_default()
}

/// Shown where nothing was counted.
const NONE: &str = "-";

fn by_name(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return NONE.to_owned();
    }
    let counts = counts
        .iter()
        .map(|(name, count)| format!("{name}: {count}"));
    counts.collect::<Vec<_>>().join(", ")
}

fn counts(figures: &Figures) -> Vec<String> {
    let asked = match figures.asked_per_s {
        Some(asked) => format!(" of {}/s asked for", rate_text(asked)),
        None => String::new(),
    };
    let mut lines = vec![
        format!("due         {:>10}", figures.due),
        format!("sent        {:>10}", figures.sent),
        format!(
            "answered    {:>10}   by status {}; by Flk-Dedup {}",
            figures.answered,
            by_name(&figures.statuses),
            by_name(&figures.dedup)
        ),
        format!(
            "no answer   {:>10}   {} connections lost, {} not from a gateway, {} timed out, {} never sent",
            figures.lost + figures.foreign + figures.timed_out + figures.unsent,
            figures.lost,
            figures.foreign,
            figures.timed_out,
            figures.unsent
        ),
        format!(
            "errors      {:>10}   not judged (408, 429, 5xx), or without an answer",
            share_text(figures.errors_share)
        ),
        format!(
            "rate        {:>10}/s{asked}; of answers as expected",
            rate_text(figures.achieved_per_s)
        ),
    ];
    lines.extend(most_refused(figures).map(|it| format!("            {it}")));
    lines.push(format!(
        "signed      {:>10}   before the run, {} on the fly, warm-up included",
        figures.signed_ahead, figures.signed_on_the_fly
    ));
    if figures.unconnected > 0 {
        let count = figures.unconnected;
        lines.push(format!("connecting  {count:>10}   attempts failed"));
    }
    let warm_up = &figures.warm_up;
    if warm_up.sent > 0 {
        lines.push(format!(
            "warm-up     {:>10}   sent before that, {} answered, {} errors, {} wrong",
            warm_up.sent, warm_up.answered, warm_up.errors, warm_up.wrong
        ));
    }
    lines
}

/// Where most answers were without a judgement: how many, and by what status. The latencies are theirs, then.
pub(super) fn most_refused(figures: &Figures) -> Option<String> {
    let count: u64 = figures.kinds.iter().map(|it| it.unjudged).sum();
    let text = format!(
        "MOST ANSWERS WERE REFUSALS: {}; latencies are mostly those of refusals",
        refused(figures)
    );
    (count * 2 > figures.answered).then_some(text)
}

/// How many answers were without a judgement, and by what status.
pub(super) fn refused(figures: &Figures) -> String {
    let is_refusal = |status: &str| {
        let status = status.parse();
        status.is_ok_and(|it| worth(Kind::New, it, Dedup::Absent) == Worth::Unjudged)
    };
    let statuses = figures.statuses.iter();
    let refusals = statuses.filter(|(status, _)| is_refusal(status));
    let refusals = refusals.map(|(status, count)| (status.clone(), *count));
    let refusals: BTreeMap<String, u64> = refusals.collect();
    let count: u64 = refusals.values().sum();
    format!("{count} of {} ({})", figures.answered, by_name(&refusals))
}

fn kinds(figures: &Figures) -> Vec<String> {
    let head = format!(
        "{:<14}{:>10}  {:<9}{:>12}{:>12}{:>8}",
        "kind", "sent", "expected", "as expected", "not judged", "wrong"
    );
    let row = |it: &super::saved::OfKind| {
        format!(
            "{:<14}{:>10}  {:<9}{:>12}{:>12}{:>8}",
            it.kind, it.sent, it.expected, it.as_expected, it.unjudged, it.wrong
        )
    };
    let mut lines = vec![head];
    lines.extend(figures.kinds.iter().map(row));
    lines.extend(figures.wrong.iter().map(|it| {
        format!(
            "WRONG: {} of kind {} answered {} (Flk-Dedup {})",
            it.count, it.kind, it.status, it.dedup
        )
    }));
    lines
}

fn latencies(run: &Saved) -> Vec<String> {
    let figures = &run.figures;
    let head = ["p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"];
    let cells = |cells: &[String]| {
        cells
            .iter()
            .map(|it| format!("{it:>10}"))
            .collect::<String>()
    };
    let row = |name: &str, spread: &Spread| {
        let whole = [
            spread.p50_ns,
            spread.p90_ns,
            spread.p99_ns,
            spread.p99_9_ns,
            spread.p99_99_ns,
            spread.max_ns,
        ];
        let text = |nanoseconds| match spread.count {
            0 => NONE.to_owned(),
            _ => latency_text(nanoseconds),
        };
        let mut texts: Vec<String> = whole.iter().map(|it| text(*it as f64)).collect();
        texts.push(text(spread.mean_ns));
        format!("{name:<24}{}", cells(&texts))
    };
    let mut lines = vec![format!(
        "{:<24}{}",
        "latency",
        cells(&head.map(str::to_owned))
    )];
    if run.settings.rate.is_some() {
        lines.push(row("from when it was due", &figures.from_due));
    }
    lines.push(row("from when it was sent", &figures.from_sent));
    lines.push(row("late though it could go", &figures.lag));
    lines
}

fn generator(run: &Saved) -> Vec<String> {
    let threads = run.generator.threads.iter().enumerate();
    let threads = threads.map(|(at, thread)| {
        let cpu = thread.pinned_to.map(|it| format!(" on CPU {it}"));
        format!(
            "thread {at}{} {:.0} % of a CPU",
            cpu.unwrap_or_default(),
            thread.cpu_share * 100.0
        )
    });
    let mut lines = vec![format!(
        "generator   {}",
        threads.collect::<Vec<_>>().join(", ")
    )];
    match run.generator.reasons.is_empty() {
        true => lines.push("            it was not the limit".to_owned()),
        false => {
            lines.push("            IT WAS THE LIMIT: the figures are those of the generator, not of the gateway".to_owned());
            lines.extend(
                run.generator
                    .reasons
                    .iter()
                    .map(|it| format!("            {it}")),
            );
        }
    }
    let figures = &run.figures;
    let waited = figures.waited_for_connection;
    if run.settings.rate.is_some() && waited * 100 > figures.due {
        let part = share_text(waited as f64 / figures.due as f64);
        lines.push(format!(
            "            {part} of the records waited because all {} connections were busy: the gateway was slower, or it takes more --connections",
            run.settings.connections
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::saved::tests::saved;
    use super::*;

    #[test]
    fn the_table_shows_what_was_sent_and_answered_and_what_was_wrong() {
        let text = lines(&saved()).join("\n");
        for part in [
            "open loop, 505/s for 2 s, constant arrivals, 64 connections",
            "due               1010",
            "answered          1000   by status 200: 1000; by Flk-Dedup hit: 1, miss: 999",
            "9 connections lost, 0 not from a gateway, 0 timed out, 1 never sent",
            "500/s of 505/s asked for; of answers as expected",
            "new                 1009  200 miss          999           0       1",
            "WRONG: 1 of kind new answered 200 (Flk-Dedup hit)",
            "from when it was due",
            "thread 0 on CPU 1 40 % of a CPU",
            "it was not the limit",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }

    #[test]
    fn refusals_are_said_where_they_are_most_of_the_answers() {
        let mut run = saved();
        let figures = &mut run.figures;
        figures.statuses = BTreeMap::from([
            ("200".to_owned(), 500),
            ("429".to_owned(), 1),
            ("503".to_owned(), 499),
        ]);
        figures.kinds[0].unjudged = 500;
        assert_eq!(most_refused(&run.figures), None);
        run.figures.kinds[0].unjudged = 501;
        run.figures.statuses.insert("503".to_owned(), 500);
        let text = lines(&run).join("\n");
        assert!(
            text.contains("MOST ANSWERS WERE REFUSALS: 501 of 1000 (429: 1, 503: 500);"),
            "{text}"
        );
    }

    #[test]
    fn what_nothing_answered_has_no_latencies_and_no_statuses() {
        let mut run = saved();
        run.figures = Figures::default();
        let text = lines(&run).join("\n");
        assert!(text.contains("by status -; by Flk-Dedup -"), "{text}");
        assert!(!text.contains(" ns"), "{text}");
        let row = text
            .lines()
            .find(|it| it.starts_with("from when it was due"));
        assert_eq!(row.unwrap().matches(" -").count(), 7, "{text}");
        assert!(!text.contains("REFUSALS"), "{text}");
    }

    #[test]
    fn a_generator_that_was_the_limit_is_said_with_its_reasons() {
        let mut run = saved();
        run.generator.reasons = vec!["no time".to_owned()];
        run.figures.waited_for_connection = 500;
        let text = lines(&run).join("\n");
        assert!(text.contains("IT WAS THE LIMIT"), "{text}");
        assert!(text.contains("\n            no time"), "{text}");
        assert!(text.contains("50 % of the records waited"), "{text}");
        run.settings.rate = None;
        (run.settings.batch, run.settings.pipeline) = (Some(100), 8);
        let text = lines(&run).join("\n");
        let pace = "closed loop for 2 s, 100 records in a request, 8 requests under way at a time,";
        assert!(text.contains(pace), "{text}");
        assert!(!text.contains("from when it was due"), "{text}");
    }
}
