//! The counters of the log out of `/metrics` of the server under test.
//! It knows only the names that it needs; a server without them has no such figures, which is no error.

use flk_testkit::gateway::Gateway;

/// The log's counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WalCounters {
    pub(crate) written_bytes: f64,
    pub(crate) syncs_count: f64,
    pub(crate) records_count: f64,
}

impl WalCounters {
    /// `None` where the server has no such counters.
    pub(crate) fn of(server: &Gateway) -> Option<Self> {
        let answer = server.try_get("/metrics")?;
        (answer.status == 200).then(|| Self::parse(answer.text()))?
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self {
            written_bytes: sample(text, "flk_wal_bytes_written")?,
            syncs_count: sample(text, "flk_wal_syncs")?,
            records_count: sample(text, "flk_wal_records")?,
        })
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            written_bytes: self.written_bytes - earlier.written_bytes,
            syncs_count: self.syncs_count - earlier.syncs_count,
            records_count: self.records_count - earlier.records_count,
        }
    }
}

/// The sum of all samples of this name, whatever their labels.
pub(crate) fn sample(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.split_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_by_their_exact_names() {
        let text = "# TYPE flk_wal_syncs counter\nflk_wal_syncs 7\nflk_wal_syncs_failed 9\n\
            flk_wal_bytes_written{shard=\"0\"} 4096\nflk_wal_bytes_written{shard=\"1\"} 4096\nflk_wal_records 21\n";
        let expected = WalCounters {
            written_bytes: 8192.0,
            syncs_count: 7.0,
            records_count: 21.0,
        };
        assert_eq!(WalCounters::parse(text), Some(expected));
    }

    #[test]
    fn a_server_without_these_counters_has_no_figures() {
        assert_eq!(WalCounters::parse("flk_wal_syncs 7\n"), None);
    }
}
