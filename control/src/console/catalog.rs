//! Which series there are: each gets a number when it is first seen, which is its place in every row and never another's. Where
//! series take more memory than there is, break-downs are left out, the finest first: those by key and parameter set, then those
//! by tenant and hold, then those by shard. It holds no value.

use super::code::{BEFORE_ALL, MISSING};
use super::page::{Kind, Sample};
use super::ring::TooHeavy;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Series with a number. A gateway with all rows of all tables has some 3,000, and 60 more for each shard.
pub const SERIES_MAX: usize = 8192;

/// What stands in rows for a series that is left out: it takes no byte, and is never shown.
const LEFT_OUT: f64 = BEFORE_ALL;

/// How fine a break-down is; the finest are left out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fineness {
    Whole,
    ByShard,
    ByTenant,
    ByKey,
}

impl Fineness {
    fn of(labels: &[(String, String)]) -> Fineness {
        let has = |names: &[&str]| {
            labels
                .iter()
                .any(|(name, _)| names.contains(&name.as_str()))
        };
        match () {
            () if has(&["key", "params"]) => Fineness::ByKey,
            () if has(&["tenant", "hold"]) => Fineness::ByTenant,
            () if has(&["shard"]) => Fineness::ByShard,
            () => Fineness::Whole,
        }
    }
}

/// A series.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its kind.
    pub kind: Kind,
    fineness: Fineness,
    /// Its numbers are not kept any more.
    is_left_out: bool,
    /// Number of the first row of one second that has it.
    pub since: u64,
}

impl Series {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A series as it is shown.
#[derive(Debug, Serialize)]
pub struct Shown<'c> {
    id: usize,
    name: &'c str,
    labels: Map<String, Value>,
    kind: Kind,
}

/// All series.
#[derive(Debug, Default)]
pub struct Catalog {
    series: Vec<Series>,
    ids: HashMap<Box<str>, usize>,
    left_out: usize,
    /// Series of the last page that found no place.
    without_place: usize,
    /// How often what is shown has changed.
    revision: u64,
}

impl Catalog {
    /// Writes the samples of a page into the row; each series is there from this row of one second on.
    pub fn place<'p>(
        &mut self,
        samples: impl Iterator<Item = Sample<'p>>,
        since: u64,
        row: &mut Vec<f64>,
    ) {
        let before = self.without_place;
        self.without_place = 0;
        for sample in samples {
            match self.id(&sample, since) {
                None => self.without_place += 1,
                Some(at) => {
                    if row.len() <= at {
                        row.resize(at + 1, MISSING);
                    }
                    row[at] = match self.series[at].is_left_out {
                        false => sample.value,
                        true => LEFT_OUT,
                    };
                }
            }
        }
        self.revision += u64::from(self.without_place != before);
    }

    fn id(&mut self, sample: &Sample<'_>, since: u64) -> Option<usize> {
        if let Some(&at) = self.ids.get(sample.key) {
            return Some(at);
        }
        if self.series.len() >= SERIES_MAX {
            return None;
        }
        let (name, labels) = sample.split();
        let at = self.series.len();
        self.series.push(Series {
            name: name.to_owned(),
            fineness: Fineness::of(&labels),
            labels,
            kind: sample.kind,
            is_left_out: false,
            since,
        });
        self.ids.insert(sample.key.into(), at);
        self.revision += 1;
        Some(at)
    }

    /// Leaves series out until the others fit into their share: of the finest break-down the youngest first. What is no break-down
    /// stays.
    pub fn lighten(&mut self, heavy: &TooHeavy) {
        let weight = |at: usize| heavy.weights.get(at).copied().unwrap_or(0) as usize;
        let mut candidates: Vec<usize> = (0..self.series.len())
            .filter(|&at| {
                let it = &self.series[at];
                it.fineness > Fineness::Whole && !it.is_left_out && weight(at) > 0
            })
            .collect();
        candidates.sort_by_key(|&at| (self.series[at].fineness, at));
        // What was left out before may have been in the rows of this block.
        let kept = (0..self.series.len()).filter(|&at| !self.series[at].is_left_out);
        let mut bytes: usize = kept.map(weight).sum();
        // A tenth is left for what comes.
        let goal = heavy.share_bytes / 10 * 9;
        while bytes > goal
            && let Some(at) = candidates.pop()
        {
            bytes -= weight(at);
            self.series[at].is_left_out = true;
            self.left_out += 1;
            self.revision += 1;
        }
    }

    /// Whether the numbers of a series are kept.
    pub fn is_kept(&self, id: usize) -> bool {
        self.series.get(id).is_some_and(|it| !it.is_left_out)
    }

    /// Series whose numbers are not kept.
    pub fn left_out(&self) -> usize {
        self.left_out + self.without_place
    }

    /// Grows whenever series come or are left out.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A series by its number.
    pub fn series(&self, id: usize) -> Option<&Series> {
        self.series.get(id)
    }

    /// Numbers of the series whose names begin like one of these, in their order. One with `$` at its end is a whole name.
    pub fn find(&self, names: &[&str]) -> Vec<usize> {
        let fits = |it: &Series, wanted: &str| match wanted.strip_suffix('$') {
            Some(whole) => it.name == whole,
            None => it.name.starts_with(wanted),
        };
        let is_wanted =
            |it: &Series| !it.is_left_out && names.iter().any(|wanted| fits(it, wanted));
        let all = self.series.iter().enumerate();
        all.filter(|(_, it)| is_wanted(it))
            .map(|(at, _)| at)
            .collect()
    }

    /// All series whose numbers are kept, as they are shown.
    pub fn shown(&self) -> Vec<Shown<'_>> {
        let all = self.series.iter().enumerate();
        let kept = all.filter(|(_, it)| !it.is_left_out);
        kept.map(|(id, it)| Shown {
            id,
            name: &it.name,
            labels: (it.labels.iter())
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect(),
            kind: it.kind,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::samples;
    use super::*;

    fn placed(catalog: &mut Catalog, page: &str, since: u64) -> Vec<f64> {
        let mut row = Vec::new();
        catalog.place(samples(page), since, &mut row);
        row
    }

    fn keys(catalog: &Catalog) -> Vec<String> {
        let shown = catalog.shown();
        let key = |it: &Shown<'_>| {
            let labels = it.labels.values().filter_map(Value::as_str);
            [it.name]
                .into_iter()
                .chain(labels)
                .collect::<Vec<_>>()
                .join(" ")
        };
        shown.iter().map(key).collect()
    }

    #[test]
    fn a_series_keeps_its_place_whatever_comes_and_goes() {
        let mut catalog = Catalog::default();
        assert_eq!(
            placed(&mut catalog, "a 1\nb{tenant=\"x\"} 2\n", 5),
            [1.0, 2.0]
        );
        let revision = catalog.revision();
        assert_eq!(
            placed(&mut catalog, "a 3\nb{tenant=\"x\"} 4\n", 6),
            [3.0, 4.0]
        );
        assert_eq!(catalog.revision(), revision, "nothing came");
        let row = placed(&mut catalog, "c 9\nb{tenant=\"x\"} 5\n", 7);
        assert!(row[0].is_nan(), "it is not on this page");
        assert_eq!(row[1..], [5.0, 9.0]);
        assert_ne!(catalog.revision(), revision);
        assert_eq!(catalog.series(2).unwrap().since, 7);
        assert_eq!(keys(&catalog), ["a", "b x", "c"]);
    }

    #[test]
    fn names_are_found_by_their_beginnings() {
        let mut catalog = Catalog::default();
        placed(
            &mut catalog,
            "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\nhh 1\ng 1\n",
            0,
        );
        assert_eq!(catalog.find(&["h_"]), [0, 1, 2]);
        assert_eq!(catalog.find(&["g", "h_s"]), [1, 4]);
        assert_eq!(catalog.find(&["h", "g$"]), [0, 1, 2, 3, 4]);
        assert_eq!(catalog.find(&["hh$"]), [3]);
        assert_eq!(catalog.find(&["h$", "x"]), [0; 0]);
        assert_eq!(catalog.find(&[]), [0; 0]);
    }

    #[test]
    fn the_finest_break_downs_are_left_out_first_and_what_is_none_never() {
        let mut catalog = Catalog::default();
        let page = "whole 1\ns{shard=\"0\"} 1\nt{tenant=\"a\"} 1\nt{tenant=\"b\"} 1\n\
            k{tenant=\"a\",key=\"1\"} 1\np{tenant=\"a\",params=\"1\"} 1\nidle{tenant=\"a\",key=\"2\"} 1\n";
        placed(&mut catalog, page, 0);
        let mut lighten = |share_bytes| {
            let weights = vec![100, 10, 10, 10, 10, 10, 0];
            catalog.lighten(&TooHeavy {
                weights,
                share_bytes,
            });
            (keys(&catalog), catalog.left_out())
        };
        let (left, count) = lighten(160);
        assert_eq!(left, ["whole", "s 0", "t a", "t b", "k 1 a", "idle 2 a"]);
        assert_eq!(count, 1);
        let (left, count) = lighten(130);
        assert_eq!(
            (left, count),
            (vec!["whole".into(), "s 0".into(), "idle 2 a".into()], 4)
        );
        let (left, _) = lighten(1);
        assert_eq!(
            left,
            ["whole", "idle 2 a"],
            "one that takes nothing may stay"
        );
        let row = placed(&mut catalog, page, 1);
        assert_eq!(row[..2], [1.0, LEFT_OUT]);
    }

    #[test]
    fn what_finds_no_place_is_counted() {
        let mut catalog = Catalog::default();
        let page: String = (0..SERIES_MAX + 3)
            .map(|it| format!("n{{tenant=\"{it}\"}} 1\n"))
            .collect();
        assert_eq!(placed(&mut catalog, &page, 0).len(), SERIES_MAX);
        assert_eq!((catalog.left_out(), catalog.shown().len()), (3, SERIES_MAX));
        // Who looks is told when it is another number.
        let revision = catalog.revision();
        placed(&mut catalog, &page, 1);
        assert_eq!(catalog.revision(), revision);
        placed(&mut catalog, "n{tenant=\"another\"} 1\n", 2);
        assert_eq!((catalog.left_out(), catalog.revision()), (1, revision + 1));
    }
}
