//! What shards say of clients that an operator should know: connections closed for others, and such as speak another
//! protocol. One line of each kind for all shards together, at most once a minute. It steers nothing.

use super::notice::Notice;
use super::port::KeeperEvent;
use crate::http::Problem;
use crate::io::Now;
use crate::mesh::keeper::ToKeeper;
use crate::throttle::Throttle;

/// Between two lines of a kind.
const SAY_EVERY_US: u64 = 60_000_000;

/// How many of a kind no line has told yet.
#[derive(Debug)]
struct Untold {
    count: u64,
    throttle: Throttle,
}

impl Default for Untold {
    fn default() -> Untold {
        Untold {
            count: 0,
            throttle: Throttle::every_us(SAY_EVERY_US),
        }
    }
}

impl Untold {
    /// The number for the line that is due.
    fn take(&mut self, now: Now) -> Option<u64> {
        let is_due = self.count > 0 && self.throttle.pass(now.mono_us);
        is_due.then(|| std::mem::take(&mut self.count))
    }
}

/// What is known of clients, and was not told.
#[derive(Debug, Default)]
pub(super) struct Clients {
    closed: Untold,
    /// By [`Problem::FOREIGN`].
    foreign: [Untold; Problem::FOREIGN.len()],
}

impl Clients {
    /// Whether the event was for this part alone.
    pub(super) fn hears(&mut self, event: &KeeperEvent) -> bool {
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
                if let Some((_, untold)) = kinds.find(|(kind, _)| *kind == problem) {
                    untold.count += u64::from(*connections_count);
                }
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
        let foreign = kinds.filter_map(move |(problem, untold)| {
            let connections_count = untold.take(now)?;
            Some(Notice::Foreign {
                problem,
                connections_count,
            })
        });
        closed.into_iter().chain(foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::ShardId;

    /// What is said in so many seconds when each of three shards tells this every second.
    fn said(seconds: u64, told: impl Fn(u64) -> ToKeeper) -> Vec<Notice> {
        let mut clients = Clients::default();
        let mut said = Vec::new();
        for second in 0..seconds {
            for shard in 0..3 {
                let event = KeeperEvent::FromShard(ShardId(shard), told(second));
                assert!(clients.hears(&event));
                let now = Now {
                    mono_us: 7_000_000 + second * 1_000_000,
                    wall_us: 0,
                };
                said.extend(clients.notices(now));
            }
        }
        assert!(!clients.hears(&KeeperEvent::Tick));
        said
    }

    #[test]
    fn all_shards_together_get_one_line_a_minute_with_the_sum() {
        let said = said(150, |_| ToKeeper::Crowded { closed_count: 2 });
        let expect = [2, 360, 360].map(|closed_count| Notice::Crowded { closed_count });
        assert_eq!(said, expect);
    }

    #[test]
    fn each_protocol_has_a_line_of_its_own_a_minute() {
        let [tls, http2, proxy] = Problem::FOREIGN;
        let said = said(100, |second| ToKeeper::Foreign {
            problem: Problem::FOREIGN[second as usize % 3],
            connections_count: 1,
        });
        let line = |problem, connections_count| Notice::Foreign {
            problem,
            connections_count,
        };
        let first = [line(tls, 1), line(http2, 1), line(proxy, 1)];
        let second = [line(tls, 60), line(http2, 60), line(proxy, 60)];
        assert_eq!(said, [first.clone(), second].concat());
        let texts = [
            "a client speaks TLS to this port, which speaks plain HTTP/1: 1 connection answered 400 tls_on_plain_port. Send plain HTTP, or end TLS in a proxy before this port.",
            "a client speaks HTTP/2 to this port, which speaks plain HTTP/1: 1 connection answered 505 http2_on_plain_port. Send HTTP/1.1; turn prior knowledge of HTTP/2 off for this upstream.",
            "a client speaks the PROXY protocol to this port, which speaks plain HTTP/1: 1 connection answered 400 proxy_protocol. Turn the PROXY protocol off for this upstream.",
        ];
        assert_eq!(first.map(|notice| notice.to_string()), texts);
    }
}
