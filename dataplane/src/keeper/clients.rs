//! What shards report of clients for the operator: connections that were closed to make room, clients that speak another
//! protocol, and proxies that say nothing sound of their clients. One line of each kind for all shards together, at most once a minute. It steers nothing.

use super::notice::Notice;
use super::port::KeeperEvent;
use crate::http::{Problem, ProxyFault};
use crate::io::Now;
use crate::mesh::keeper::ToKeeper;
use crate::throttle::Throttle;

/// Between two lines of a kind.
const LINE_EVERY_US: u64 = 60_000_000;

/// How many of a kind no line has reported yet.
#[derive(Debug)]
struct Unreported {
    count: u64,
    throttle: Throttle,
}

impl Default for Unreported {
    fn default() -> Unreported {
        Unreported {
            count: 0,
            throttle: Throttle::every_us(LINE_EVERY_US),
        }
    }
}

impl Unreported {
    /// The number for the line that is due.
    fn take(&mut self, now: Now) -> Option<u64> {
        let is_due = self.count > 0 && self.throttle.pass(now.mono_us);
        is_due.then(|| std::mem::take(&mut self.count))
    }
}

/// What is known of clients and not reported yet.
#[derive(Debug, Default)]
pub(super) struct Clients {
    closed: Unreported,
    /// By [`Problem::FOREIGN`].
    foreign: [Unreported; Problem::FOREIGN.len()],
    /// By [`ProxyFault::ALL`].
    faults: [Unreported; ProxyFault::ALL.len()],
}

impl Clients {
    /// Takes an event that is for this part alone; false for any other.
    pub(super) fn takes(&mut self, event: &KeeperEvent) -> bool {
        match event {
            KeeperEvent::FromShard(_, ToKeeper::Crowded { closed_count }) => {
                self.closed.count += u64::from(*closed_count);
                true
            }
            KeeperEvent::FromShard(
                _,
                ToKeeper::Foreign {
                    problem,
                    connections_count,
                },
            ) => {
                let mut kinds = Problem::FOREIGN.iter().zip(&mut self.foreign);
                if let Some((_, unreported)) = kinds.find(|(kind, _)| *kind == problem) {
                    unreported.count += u64::from(*connections_count);
                }
                true
            }
            KeeperEvent::FromShard(
                _,
                ToKeeper::ProxyFault {
                    fault,
                    connections_count,
                },
            ) => {
                self.faults[*fault as usize].count += u64::from(*connections_count);
                true
            }
            _ => false,
        }
    }

    /// The lines that are due.
    pub(super) fn notices(&mut self, now: Now) -> impl Iterator<Item = Notice> + '_ {
        let closed = self.closed.take(now);
        let closed = closed.map(|closed_count| Notice::Crowded { closed_count });
        let kinds = Problem::FOREIGN.into_iter().zip(&mut self.foreign);
        let foreign = kinds.filter_map(move |(problem, unreported)| {
            let connections_count = unreported.take(now)?;
            Some(Notice::Foreign {
                problem,
                connections_count,
            })
        });
        let faults = ProxyFault::ALL.into_iter().zip(&mut self.faults);
        let faults = faults.filter_map(move |(fault, unreported)| {
            let connections_count = unreported.take(now)?;
            Some(Notice::ProxyFault {
                fault,
                connections_count,
            })
        });
        closed.into_iter().chain(foreign).chain(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::ShardId;

    /// The lines of so many seconds in which each of three shards reports this every second.
    fn lines(seconds: u64, report: impl Fn(u64) -> ToKeeper) -> Vec<Notice> {
        let mut clients = Clients::default();
        let mut lines = Vec::new();
        for second in 0..seconds {
            for shard in 0..3 {
                let event = KeeperEvent::FromShard(ShardId(shard), report(second));
                assert!(clients.takes(&event));
                let now = Now {
                    mono_us: 7_000_000 + second * 1_000_000,
                    wall_us: 0,
                };
                lines.extend(clients.notices(now));
            }
        }
        assert!(!clients.takes(&KeeperEvent::Tick));
        lines
    }

    #[test]
    fn all_shards_together_get_one_line_a_minute_with_the_sum() {
        let lines = lines(150, |_| ToKeeper::Crowded { closed_count: 2 });
        let expect = [2, 360, 360].map(|closed_count| Notice::Crowded { closed_count });
        assert_eq!(lines, expect);
    }

    #[test]
    fn each_protocol_has_a_line_of_its_own_a_minute() {
        let [tls, http2, proxy] = Problem::FOREIGN;
        let lines = lines(100, |second| ToKeeper::Foreign {
            problem: Problem::FOREIGN[second as usize % 3],
            connections_count: 1,
        });
        let line = |problem, connections_count| Notice::Foreign {
            problem,
            connections_count,
        };
        let first = [line(tls, 1), line(http2, 1), line(proxy, 1)];
        let second = [line(tls, 60), line(http2, 60), line(proxy, 60)];
        assert_eq!(lines, [first.clone(), second].concat());
        let texts = [
            "a client speaks TLS to this port, which speaks plain HTTP/1: 1 connection answered 400 tls_on_plain_port. Send plain HTTP, or end TLS in a proxy before this port.",
            "a client speaks HTTP/2 to this port, which speaks plain HTTP/1: 1 connection answered 505 http2_on_plain_port. Send HTTP/1.1; turn prior knowledge of HTTP/2 off for this upstream.",
            "a client speaks the PROXY protocol to this port, which speaks plain HTTP/1: 1 connection answered 400 proxy_protocol. Turn the PROXY protocol off for this upstream, or let it be read: PROXY_PROTOCOL and TRUSTED_PROXIES.",
        ];
        assert_eq!(first.map(|notice| notice.to_string()), texts);
    }

    #[test]
    fn what_proxies_get_wrong_has_a_line_of_its_own_a_minute() {
        let lines = lines(70, |second| ToKeeper::ProxyFault {
            fault: ProxyFault::ALL[second as usize % 2],
            connections_count: 2,
        });
        let texts: Vec<String> = lines.iter().map(Notice::to_string).collect();
        let [missing, malformed] = [
            "of trusted proxies without a header of the PROXY protocol ended unanswered. Turn it on there, or set PROXY_PROTOCOL=optional.",
            "of trusted proxies with a malformed header of the PROXY protocol ended unanswered. Look at what this upstream sends first.",
        ];
        let expect = [
            (2, missing),
            (2, malformed),
            (180, missing),
            (180, malformed),
        ];
        let expect = expect.map(|(count, text)| format!("{count} connections {text}"));
        assert_eq!(texts, expect);
    }
}
