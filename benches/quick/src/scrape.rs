//! One plain GET of the server under test, and the counters of its log out of `/metrics`.
//! It knows only the names that it needs; a server without them has no such figures, which is no error.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flk_bench_load::message;

const WAIT_MAX: Duration = Duration::from_secs(5);

/// The log's counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WalCounters {
    pub(crate) written_bytes: f64,
    pub(crate) syncs_count: f64,
    pub(crate) records_count: f64,
}

impl WalCounters {
    /// `None` where the server has no such counters.
    pub(crate) fn of(address: SocketAddr) -> Option<Self> {
        let (status, text) = get(address, "/metrics").ok()?;
        (status == 200).then(|| Self::parse(&text))?
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

/// Status and body of one GET on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT_MAX)?;
    stream.set_read_timeout(Some(WAIT_MAX))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let (mut answer, mut input) = (Vec::new(), [0; 16 * 1024]);
    // Not every server closes when asked to, so the answer ends where it says.
    while message::end(&answer).is_none() {
        match stream.read(&mut input)? {
            0 => break,
            count => answer.extend_from_slice(&input[..count]),
        }
    }
    let status = message::status(&answer)
        .ok_or_else(|| io::Error::other(format!("no HTTP answer to {path}")))?;
    let text = String::from_utf8_lossy(&answer);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

/// The sum of all samples of this name, whatever their labels.
fn sample(text: &str, name: &str) -> Option<f64> {
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
