//! A view as text, and as JSON for scripts. Rows are put in order here; which one comes first is all that a user can change.
//! Names come from a gateway and are made safe to print.

use super::rates::{Column, Row, SHARDS, TENANTS, Unit, View};
use crate::output::printable;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

/// Directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// What rows are ordered by. A table without that column is ordered by names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sort {
    /// Index among [`Sort::columns`].
    at: usize,
    order: Order,
}

impl Default for Sort {
    /// The busiest first.
    fn default() -> Self {
        Self {
            at: 1,
            order: Order::Descending,
        }
    }
}

impl Sort {
    /// All columns of both tables, each once, the name first.
    fn columns() -> Vec<&'static str> {
        let mut names = vec!["name"];
        for column in SHARDS.iter().chain(TENANTS) {
            if !names.contains(&column.name) {
                names.push(column.name);
            }
        }
        names
    }

    /// The column's name.
    pub(super) fn column(self) -> &'static str {
        Self::columns().get(self.at).copied().unwrap_or("name")
    }

    /// By the next column; names ascend and numbers descend at first.
    pub(super) fn next(self) -> Self {
        let at = (self.at + 1) % Self::columns().len();
        let order = match at {
            0 => Order::Ascending,
            _ => Order::Descending,
        };
        Self { at, order }
    }

    /// The other way round.
    pub(super) fn reversed(self) -> Self {
        let order = match self.order {
            Order::Ascending => Order::Descending,
            Order::Descending => Order::Ascending,
        };
        Self { order, ..self }
    }

    fn apply<'r>(self, columns: &[Column], rows: &'r [Row]) -> Vec<&'r Row> {
        let column = columns.iter().position(|it| it.name == self.column());
        let directed = |found: Ordering| match self.order {
            Order::Ascending => found,
            Order::Descending => found.reverse(),
        };
        let mut rows: Vec<&Row> = rows.iter().collect();
        rows.sort_by(|a, b| match column {
            None if self.at == 0 => directed(by_name(a, b)),
            None => by_name(a, b),
            Some(at) => {
                let value = |row: &Row| row.values.get(at).copied().flatten();
                let found = match (value(a), value(b)) {
                    (Some(a), Some(b)) => directed(a.total_cmp(&b)),
                    // What is not known comes last, whatever the order.
                    (a, b) => b.is_some().cmp(&a.is_some()),
                };
                found.then_with(|| by_name(a, b))
            }
        });
        rows
    }
}

/// Numbers as numbers, before all else.
fn by_name(a: &Row, b: &Row) -> Ordering {
    let number = |row: &Row| row.name.parse::<u64>().unwrap_or(u64::MAX);
    (number(a), &a.name).cmp(&(number(b), &b.name))
}

/// What a line is, for a screen with colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Heading,
    /// A shard is stuck.
    Alarm,
}

/// One line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) kind: Kind,
}

/// Both tables.
pub(super) fn lines(view: &View, sort: Sort) -> Vec<Line> {
    let shards = sort.apply(SHARDS, &view.shards);
    let shards: Vec<&Row> = [&view.all].into_iter().chain(shards).collect();
    let mut lines = table("SHARD", SHARDS, &shards, sort);
    if view.is_added_up {
        lines.push(Line {
            text: "-: /metrics adds shards up; on the host of the gateway flk top --dir DIR shows each".to_owned(),
            kind: Kind::Plain,
        });
    }
    let tenants = sort.apply(TENANTS, &view.tenants);
    if !tenants.is_empty() {
        lines.push(Line {
            text: String::new(),
            kind: Kind::Plain,
        });
        lines.extend(table("TENANT", TENANTS, &tenants, sort));
    }
    lines
}

fn table(title: &str, columns: &[Column], rows: &[&Row], sort: Sort) -> Vec<Line> {
    let arrow = match sort.order {
        Order::Ascending => "^",
        Order::Descending => "v",
    };
    let marked = |name: &str, title: &str| match name == sort.column() {
        true => format!("{title}{arrow}"),
        false => title.to_owned(),
    };
    let mut heading = vec![marked("name", title)];
    heading.extend(columns.iter().map(|it| marked(it.name, it.title)));
    let cells = |row: &&Row| {
        let values = columns.iter().zip(&row.values);
        let shown = values.map(|(column, value)| shown(column.unit, *value));
        let name = printable(&row.name);
        [name].into_iter().chain(shown).collect::<Vec<String>>()
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let width = |at: usize| {
        let all = [&heading].into_iter().chain(&cells);
        all.filter_map(|line| Some(line.get(at)?.chars().count()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let joined = |cells: &[String]| {
        let mut text = String::new();
        for (at, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
            text += &match at {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            };
        }
        text.trim_end().to_owned()
    };
    let stuck = columns.iter().position(|it| it.unit == Unit::Mark);
    let kind = |row: &Row| match stuck.and_then(|at| row.values.get(at).copied().flatten()) {
        Some(value) if value != 0.0 => Kind::Alarm,
        _ => Kind::Plain,
    };
    let first = Line {
        text: joined(&heading),
        kind: Kind::Heading,
    };
    let rest = rows.iter().zip(&cells).map(|(row, cells)| Line {
        text: joined(cells),
        kind: kind(row),
    });
    [first].into_iter().chain(rest).collect()
}

fn shown(unit: Unit, value: Option<f64>) -> String {
    let Some(value) = value else {
        return "-".to_owned();
    };
    match unit {
        Unit::Number => number(value),
        Unit::Share => format!("{:.0}%", value * 100.0),
        Unit::Seconds if value < 0.001 => format!("{:.0}us", value * 1e6),
        Unit::Seconds if value < 1.0 => format!("{:.1}ms", value * 1e3),
        Unit::Seconds => format!("{value:.2}s"),
        Unit::Mark if value != 0.0 => "STUCK".to_owned(),
        Unit::Mark => "no".to_owned(),
    }
}

/// Few digits, and a letter for thousands.
fn number(value: f64) -> String {
    match value {
        it if it == it.trunc() && it < 1e5 => format!("{it}"),
        it if it < 100.0 => format!("{it:.1}"),
        it if it < 1e5 => format!("{it:.0}"),
        it if it < 1e8 => format!("{:.0}k", it / 1e3),
        it if it < 1e11 => format!("{:.0}M", it / 1e6),
        it => format!("{:.0}G", it / 1e9),
    }
}

/// One object for scripts.
pub(super) fn json(view: &View, source: &str, sort: Sort) -> Value {
    let rows = |name: &'static str, columns: &[Column], rows: &[Row]| {
        let rows = sort.apply(columns, rows);
        let rows = rows.iter().map(|row| {
            let mut object = values(columns, row);
            object.insert(name.to_owned(), Value::from(row.name.as_str()));
            Value::Object(object)
        });
        Value::Array(rows.collect())
    };
    json!({
        "source": source,
        "interval_s": view.interval_s,
        "all": values(SHARDS, &view.all),
        "shards": rows("shard", SHARDS, &view.shards),
        "tenants": rows("tenant", TENANTS, &view.tenants),
    })
}

fn values(columns: &[Column], row: &Row) -> Map<String, Value> {
    let value = |column: &Column, value: Option<f64>| match column.unit {
        Unit::Mark => value.map_or(Value::Null, |it| Value::from(it != 0.0)),
        _ => Value::from(value),
    };
    let pairs = columns.iter().zip(&row.values);
    pairs
        .map(|(it, number)| (it.name.to_owned(), value(it, *number)))
        .collect()
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
