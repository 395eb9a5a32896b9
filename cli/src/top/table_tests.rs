//! Both forms of a fixed view.

use super::*;

fn row(name: &str, values: &[Option<f64>]) -> Row {
    Row {
        name: name.to_owned(),
        values: values.to_vec(),
    }
}

fn view() -> View {
    let shard = |name, rate: f64, stuck| {
        row(
            name,
            &[
                Some(rate),
                Some(0.42),
                Some(0.000_25),
                Some(0.0123),
                None,
                Some(3.5),
                Some(0.0),
                Some(1_234_567.0),
                Some(stuck),
            ],
        )
    };
    let tenant = |name, rate: f64| row(name, &[Some(rate), Some(1.0), Some(0.0), Some(0.0), None]);
    View {
        interval_s: 1.0,
        all: shard("all", 300.0, 1.0),
        shards: vec![
            shard("2", 100.0, 0.0),
            shard("10", 50.0, 1.0),
            shard("0", 150.0, 0.0),
        ],
        is_added_up: false,
        tenants: vec![tenant("a", 1.0), tenant("evil\u{1b}[2J", 250_000.0)],
    }
}

fn names(lines: &[Line]) -> Vec<&str> {
    let first = |it: &'_ Line| it.text.split(' ').next().unwrap_or_default().to_owned();
    lines
        .iter()
        .map(|it| it.text.get(..first(it).len()).unwrap())
        .collect()
}

/// By names, ascending.
fn by_names() -> Sort {
    let mut sort = Sort::default();
    while sort.column() != "name" {
        sort = sort.next();
    }
    sort
}

#[test]
fn tables_are_aligned_and_the_busiest_comes_first() {
    let lines = lines(&view(), Sort::default());
    let text: Vec<&str> = lines.iter().map(|it| it.text.as_str()).collect();
    let expect = "\
SHARD  REQ/Sv  CPU    P50     P99  WAL WAIT  BATCH  QUEUE   KEYS  STUCK
all       300  42%  250us  12.3ms         -    3.5      0  1235k  STUCK
0         150  42%  250us  12.3ms         -    3.5      0  1235k     no
2         100  42%  250us  12.3ms         -    3.5      0  1235k     no
10         50  42%  250us  12.3ms         -    3.5      0  1235k  STUCK

TENANT         REQ/Sv  ACCEPTED/S  ESCALATED/S  401/S  HITS/S
evil\\u{1b}[2J    250k           1            0      0       -
a                   1           1            0      0       -";
    assert_eq!(text.join("\n"), expect);
    let kinds: Vec<Kind> = lines.iter().take(5).map(|it| it.kind).collect();
    let (plain, alarm) = (Kind::Plain, Kind::Alarm);
    assert_eq!(kinds, [Kind::Heading, alarm, plain, plain, alarm]);
}

#[test]
fn shards_are_ordered_as_numbers_and_the_sum_stays_first() {
    let shown = lines(&view(), by_names());
    assert_eq!(names(&shown)[..5], ["SHARD^", "all", "0", "2", "10"]);
    let shown = lines(&view(), by_names().reversed());
    assert_eq!(names(&shown)[..5], ["SHARDv", "all", "10", "2", "0"]);
}

#[test]
fn each_column_of_both_tables_can_order_and_what_is_not_known_comes_last() {
    let mut sort = Sort::default();
    let mut seen = Vec::new();
    loop {
        seen.push(sort.column());
        sort = sort.next();
        if sort == Sort::default() {
            break;
        }
    }
    for column in SHARDS.iter().chain(TENANTS) {
        assert!(seen.contains(&column.name), "{}", column.name);
    }
    let rows = [
        row("a", &[None]),
        row("b", &[Some(1.0)]),
        row("c", &[Some(2.0)]),
    ];
    let order = |sort: Sort| {
        let rows = sort.apply(&SHARDS[..1], &rows);
        rows.iter().map(|it| it.name.clone()).collect::<String>()
    };
    assert_eq!(order(Sort::default()), "cba");
    assert_eq!(order(Sort::default().reversed()), "bca");
    // a table without the column
    assert_eq!(order(Sort::default().next()), "abc");
}

#[test]
fn numbers_have_few_digits() {
    for (value, expect) in [
        (0.0, "0"),
        (0.04, "0.0"),
        (1.25, "1.2"),
        (123.4, "123"),
        (99_999.0, "99999"),
        (123_456.7, "123k"),
        (1.5e9, "1500M"),
        (2e12, "2000G"),
    ] {
        assert_eq!(shown(Unit::Number, Some(value)), expect, "{value}");
    }
    assert_eq!(shown(Unit::Seconds, Some(2.5)), "2.50s");
    assert_eq!(shown(Unit::Seconds, None), "-");
}

#[test]
fn the_object_for_scripts_has_every_field_and_null_for_what_is_not_known() {
    let object = json(&view(), "data/wal", Sort::default());
    assert_eq!(object["source"], "data/wal");
    assert_eq!(object["interval_s"], 1.0);
    assert_eq!(object["shards"][0]["shard"], "0");
    assert_eq!(object["shards"][0]["stuck"], false);
    assert_eq!(object["shards"][0]["wal_wait_p99_s"], Value::Null);
    assert_eq!(object["tenants"][0]["tenant"], "evil\u{1b}[2J");
    let fields = |row: &Value| row.as_object().unwrap().len();
    assert_eq!(fields(&object["all"]), SHARDS.len());
    assert_eq!(fields(&object["shards"][2]), SHARDS.len() + 1);
    assert_eq!(fields(&object["tenants"][1]), TENANTS.len() + 1);
}

#[test]
fn where_shards_are_added_up_a_line_says_where_each_is_shown() {
    let added_up = View {
        is_added_up: true,
        ..view()
    };
    let told = |view: &View| {
        let lines = lines(view, Sort::default());
        lines
            .iter()
            .filter(|it| it.text.contains("flk top --dir"))
            .count()
    };
    assert_eq!((told(&view()), told(&added_up)), (0, 1));
}
