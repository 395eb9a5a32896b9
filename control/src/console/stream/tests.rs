//! Tests of a stream: what a client gets, in which order, and when it is cut off.

use super::super::clock::Clock;
use super::super::page::samples;
use super::*;
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;

/// A history that a test drives, and the streams of it.
struct World {
    shown: Arc<Shown>,
}

/// A stream as its client sees it.
struct Client {
    events: mpsc::Receiver<Bytes>,
    text: String,
}

/// An event: its name, its id, and its data.
type Event = (String, Option<String>, Value);

impl World {
    fn new() -> World {
        let clock = Clock::begin(1_800_000_000_000);
        World {
            shown: Arc::new(Shown::begin(&clock, Arc::default())),
        }
    }

    fn take(&self, page: &str) {
        self.shown.take(0, samples(page), None);
    }

    fn asked(&self, step: Step, last: Option<Last>) -> Asked {
        let history = self.shown.history();
        Asked {
            step,
            ids: history.catalog.find(&["a"]),
            epoch: history.epoch,
            revision: history.catalog.revision(),
            last,
            pace: Pace {
                alive_every: Duration::from_secs(600),
                take_max: Duration::from_secs(600),
            },
        }
    }

    fn begin(&self, asked: Asked, allowed: StillAllowed) -> Client {
        self.begin_beside(Threads::default(), asked, allowed)
    }

    fn begin_beside(&self, threads: Threads, asked: Asked, allowed: StillAllowed) -> Client {
        let place = Arc::clone(&self.shown.streams).try_acquire_owned().unwrap();
        let (to, events) = mpsc::channel(EVENTS_MAX);
        let shown = Arc::clone(&self.shown);
        tokio::spawn(stream(shown, threads, asked, to, allowed, place));
        Client {
            events,
            text: String::new(),
        }
    }

    fn stream(&self, last: Option<Last>) -> Client {
        self.begin(self.asked(Step::Second, last), always())
    }

    fn last(&self, row: u64) -> Option<Last> {
        let epoch = self.shown.history().epoch;
        Some(Last { epoch, row })
    }
}

fn always() -> StillAllowed {
    Box::new(|| Box::pin(std::future::ready(true)))
}

impl Client {
    /// The next event; none: the stream has ended.
    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let lines: Vec<String> = event.lines().map(str::to_owned).collect();
                self.text = rest.to_owned();
                let of = |name: &str| {
                    lines
                        .iter()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::to_owned)
                };
                let Some(name) = of("event: ") else {
                    return Some((event_comment(&lines), None, Value::Null));
                };
                let data = serde_json::from_str(&of("data: ").unwrap()).unwrap();
                return Some((name, of("id: "), data));
            }
            let bytes = self.events.recv().await?;
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event, which has this name.
    async fn expect(&mut self, name: &str) -> (Option<String>, Value) {
        let (found, id, data) = self.event().await.unwrap();
        assert_eq!(found, name, "{data}");
        (id, data)
    }

    /// Takes replays of all rows from one to before another, none twice and none left out.
    async fn takes_rows(&mut self, mut next: u64, end: u64) {
        while next < end {
            let (_, replay) = self.expect("replay").await;
            assert_eq!(replay["first"], next);
            next += replay["columns"][0].as_array().unwrap().len() as u64;
        }
        assert_eq!(next, end);
    }

    async fn greeted(&mut self) -> Value {
        let (_, hello) = self.expect("hello").await;
        self.expect("attention").await;
        hello
    }
}

fn event_comment(lines: &[String]) -> String {
    lines.first().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_stream_says_what_follows_and_sends_each_row_once() {
    let world = World::new();
    world.take("a 1\nb 5\na2 7\n");
    let mut client = world.stream(None);
    let epoch = world.shown.history().epoch;
    let hello = client.greeted().await;
    assert_eq!(
        hello,
        json!({"epoch": epoch.to_string(), "next_seq": 1, "series": [0, 2]})
    );
    let (id, sample) = client.expect("sample").await;
    assert_eq!(id, Some(format!("{epoch}:0")));
    assert_eq!(
        sample,
        json!({"seq": 0, "t_ms": 1_800_000_000_000_u64, "values": [1, 7]})
    );
    for row in 1..5 {
        world.take(&format!("a {row}.5\nb 5\n"));
        let (_, sample) = client.expect("sample").await;
        let t_ms = 1_800_000_000_000_u64 + row * 1000;
        let expected = json!({"seq": row, "t_ms": t_ms, "values": [row as f64 + 0.5, null]});
        assert_eq!(sample, expected);
    }
}

#[tokio::test]
async fn a_client_that_comes_again_gets_what_it_missed_and_nothing_twice() {
    let world = World::new();
    (0..10).for_each(|row| world.take(&format!("a {row}\n")));
    let mut client = world.stream(world.last(3));
    client.greeted().await;
    let (id, replay) = client.expect("replay").await;
    let epoch = world.shown.history().epoch;
    assert_eq!(id, Some(format!("{epoch}:9")));
    assert_eq!(
        (&replay["first"], &replay["series"]),
        (&json!(4), &json!([0]))
    );
    assert_eq!(replay["t0_ms"], 1_800_000_004_000_u64);
    assert_eq!(replay["columns"], json!([[4, 5, 6, 7, 8, 9]]));
    world.take("a 10\n");
    assert_eq!(client.expect("sample").await.1["seq"], 10);
    // One that has all rows waits for the next.
    let mut client = world.stream(world.last(10));
    client.greeted().await;
    world.take("a 11\n");
    assert_eq!(client.expect("sample").await.1["seq"], 11);
    // One that claims rows that are to come has none of them.
    for (row, claimed) in [(12, 500), (13, u64::MAX)] {
        let mut client = world.stream(world.last(claimed));
        client.greeted().await;
        world.take(&format!("a {row}\n"));
        assert_eq!(client.expect("sample").await.1["seq"], row);
    }
}

#[tokio::test]
async fn rows_of_more_columns_than_an_answer_has_are_replayed_in_parts() {
    /// Twice as many as have all rows in one answer.
    const COLUMNS: usize = 2 * (NUMBERS_MAX / ROWS_MAX) as usize;
    let world = World::new();
    let page = |row: usize| -> String {
        let series = 0..COLUMNS;
        series.map(|at| format!("a{at} {}\n", row + at)).collect()
    };
    let parts = [ROWS_MAX / 2, 200];
    (0..=200 + ROWS_MAX as usize / 2).for_each(|row| world.take(&page(row)));
    let mut client = world.stream(world.last(0));
    assert_eq!(
        client.greeted().await["series"].as_array().unwrap().len(),
        COLUMNS
    );
    let mut next = 1;
    for rows in parts {
        let (id, replay) = client.expect("replay").await;
        assert_eq!(replay["first"], next);
        let column = replay["columns"][7].as_array().unwrap();
        assert_eq!((column.len() as u64, &column[0]), (rows, &json!(next + 7)));
        next += rows;
        assert!(id.unwrap().ends_with(&format!(":{}", next - 1)));
    }
    world.take(&page(0));
    assert_eq!(client.expect("sample").await.1["seq"], next);
}

#[tokio::test]
async fn rows_that_a_client_has_not_taken_hold_a_place_among_answers() {
    let world = World::new();
    (0..10).for_each(|row| world.take(&format!("a {row}\n")));
    let free = || world.shown.answers.available_permits();
    let all = free();
    let mut client = world.stream(world.last(3));
    client.greeted().await;
    let replay = client.events.recv().await.unwrap();
    assert_eq!(free(), all - 1);
    drop(replay);
    assert_eq!(free(), all);
}

#[tokio::test]
async fn a_client_that_was_slow_for_a_moment_gets_the_rows_between_together() {
    let world = World::new();
    world.take("a 0\n");
    let mut client = world.stream(None);
    client.greeted().await;
    client.expect("sample").await;
    // The stream runs on this thread: it sees these rows at once.
    (1..4).for_each(|row| world.take(&format!("a {row}\n")));
    let (_, replay) = client.expect("replay").await;
    assert_eq!(
        (&replay["first"], &replay["columns"]),
        (&json!(1), &json!([[1, 2, 3]]))
    );
}

#[tokio::test]
async fn rows_that_were_missed_come_while_files_hang() {
    let world = World::new();
    (0..4).for_each(|row| world.take(&format!("a {row}\n")));
    let threads = Threads::default();
    let _hang = [threads.place().await, threads.place().await];
    let asked = world.asked(Step::Second, world.last(0));
    let mut client = world.begin_beside(threads, asked, always());
    client.greeted().await;
    let replay = timeout(Duration::from_secs(30), client.expect("replay"));
    let (_, replay) = replay.await.expect("rows are in no file");
    assert_eq!(replay["columns"], json!([[1, 2, 3]]));
}

#[tokio::test]
async fn a_client_that_takes_none_of_its_rows_holds_up_no_rows_of_others() {
    let world = World::new();
    (0..1000).for_each(|row| world.take(&format!("a {row}\n")));
    let answers = Arc::clone(&world.shown.answers);
    let all = answers.available_permits();
    // So many columns that ten events replay the rows.
    let mut asked = world.asked(Step::Second, world.last(0));
    asked.ids = vec![0; (NUMBERS_MAX / 100) as usize];
    let mut client = world.begin(asked, always());
    client.greeted().await;
    while answers.available_permits() == all {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Time enough for it to take more of them, if it would.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(answers.available_permits(), all - 1);
    client.takes_rows(1, 1000).await;
}

#[tokio::test]
async fn a_client_of_another_history_is_greeted_anew() {
    let world = World::new();
    world.take("a 1\n");
    let other = Last {
        epoch: Epoch(1),
        row: 700,
    };
    let mut client = world.stream(Some(other));
    client.greeted().await;
    assert_eq!(client.expect("sample").await.1["seq"], 0);
    // And a history that ends ends its streams.
    world.shown.begin_again(&Clock::begin(1_900_000_000_000));
    world.take("a 1\n");
    assert_eq!(client.event().await, None);
}

#[tokio::test]
async fn rows_of_ten_seconds_come_every_ten() {
    let world = World::new();
    world.take("a 0\n");
    let asked = world.asked(Step::TenSeconds, None);
    let mut client = world.begin(asked, always());
    client.greeted().await;
    assert_eq!(client.expect("sample").await.1["values"], json!([0]));
    for row in 1..=20 {
        world.take(&format!("a {row}\n"));
        if row % 10 == 0 {
            let (_, sample) = client.expect("sample").await;
            assert_eq!(
                (&sample["seq"], &sample["values"]),
                (&json!(row / 10), &json!([row]))
            );
        }
    }
}

#[tokio::test]
async fn rows_of_ten_seconds_go_on_behind_a_long_gap_with_all_that_are_kept() {
    let world = World::new();
    (0..45_000).for_each(|row| world.take(&format!("a {row}\n")));
    let mut client = world.begin(world.asked(Step::TenSeconds, world.last(0)), always());
    client.greeted().await;
    client.takes_rows(1, 4500).await;
}

#[tokio::test]
async fn what_needs_attention_and_where_the_data_plane_is_are_told_when_they_change() {
    let world = World::new();
    world.take("a 1\n");
    world.shown.attend("[7]".to_owned());
    let mut client = world.stream(None);
    client.expect("hello").await;
    assert_eq!(client.expect("attention").await.1, json!([7]));
    client.expect("sample").await;
    world.shown.attend("[7]".to_owned());
    world.shown.attend("[8]".to_owned());
    assert_eq!(client.expect("attention").await.1, json!([8]));
    world
        .shown
        .take(0, samples(""), Some("it \"ended\"".to_owned()));
    assert_eq!(
        client.expect("away").await.1,
        json!({"why": "it \"ended\""})
    );
    assert_eq!(client.expect("sample").await.1["values"], json!([null]));
    world.take("a 2\n");
    client.expect("back").await;
    client.expect("sample").await;
    world.take("a 3\nnew 1\n");
    client.expect("series").await;
    client.expect("sample").await;
    world.take("a 4\nnewer 1\n");
    client.expect("sample").await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_and_its_place_is_free() {
    let world = World::new();
    world.take("a 1\n");
    let asked = Asked {
        pace: Pace {
            take_max: Duration::from_millis(20),
            ..Pace::default()
        },
        ..world.asked(Step::Second, None)
    };
    let mut client = world.begin(asked, always());
    let free = Arc::clone(&world.shown.streams);
    let before = free.available_permits();
    // Hello, attention, and rows until no more fit.
    while free.available_permits() == before {
        world.take("a 1\n");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let costs = &world.shown.costs;
    assert_eq!(costs.streams_cut.load(Ordering::Relaxed), 1);
    assert_eq!(costs.streams.load(Ordering::Relaxed), 0);
    let mut events = 0;
    while client.event().await.is_some() {
        events += 1;
    }
    assert_eq!(events, EVENTS_MAX, "no more than these was kept for it");
}

#[tokio::test]
async fn a_client_that_goes_leaves_its_place() {
    let world = World::new();
    world.take("a 1\n");
    let mut client = world.stream(None);
    client.greeted().await;
    drop(client);
    let all = super::super::shown::STREAMS_MAX as u32;
    let places = Arc::clone(&world.shown.streams)
        .acquire_many_owned(all)
        .await;
    assert!(places.is_ok());
    assert_eq!(world.shown.costs.streams_cut.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_stream_lives_as_long_as_its_client_may_look() {
    let world = World::new();
    world.take("a 1\n");
    let may = Arc::new(AtomicBool::new(true));
    let asked = Asked {
        pace: Pace {
            alive_every: Duration::from_millis(5),
            ..Pace::default()
        },
        ..world.asked(Step::Second, None)
    };
    let of_stream = Arc::clone(&may);
    let allowed: StillAllowed = Box::new(move || {
        let may = of_stream.load(Ordering::Relaxed);
        Box::pin(std::future::ready(may))
    });
    let mut client = world.begin(asked, allowed);
    client.greeted().await;
    client.expect("sample").await;
    assert_eq!(client.event().await.unwrap().0, ": alive");
    may.store(false, Ordering::Relaxed);
    while let Some((comment, ..)) = client.event().await {
        assert_eq!(comment, ": alive");
    }
}

#[test]
fn the_number_of_a_row_is_read_as_it_was_sent_and_nothing_else_is() {
    let last = Last::read("00000000000000ff:7");
    assert_eq!(
        last,
        Some(Last {
            epoch: Epoch(255),
            row: 7
        })
    );
    for wrong in [
        "",
        "ff:7",
        "00000000000000ff",
        "00000000000000ff:",
        "00000000000000fg:7",
        "00000000000000ff:-1",
    ] {
        assert_eq!(Last::read(wrong), None, "{wrong}");
    }
}
