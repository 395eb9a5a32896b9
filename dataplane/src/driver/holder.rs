//! Finds in /proc which process holds a lock or a port, to name it in a message. It signals no process.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;

/// A process that holds a lock or a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    id: Option<u32>,
    name: Option<String>,
    is_ending: bool,
}

impl Holder {
    /// Whether it was killed or is gone: the kernel will release what it holds.
    pub fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Whether its user has a socket that listens on this port. Descriptors of a gateway are hidden from its own user, its
    /// sockets are not.
    pub fn may_listen_on(&self, address: SocketAddr) -> bool {
        let status = |id| std::fs::read_to_string(format!("/proc/{id}/status")).ok();
        let status = self.id.and_then(status).unwrap_or_default();
        // Of the four the effective one.
        let user = status.lines().find_map(|line| {
            let users = line.strip_prefix("Uid:")?;
            users.split_whitespace().nth(1)?.parse::<u32>().ok()
        });
        let listens = |row: &str| user_that_listens(row, address.port());
        user.is_some() && tables().lines().any(|row| listens(row) == user)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.id, &self.name) {
            (Some(id), Some(name)) => write!(out, "process {id} ({name})"),
            (Some(id), None) => write!(out, "process {id}"),
            (None, _) => write!(out, "another process"),
        }
    }
}

/// A process as /proc shows it.
pub fn process(id: Option<u32>) -> Holder {
    let text = |id: u32, file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}")).ok();
    Holder {
        id,
        name: id.and_then(|id| Some(text(id, "comm")?.trim().to_owned())),
        is_ending: id.is_some_and(|id| {
            let (stat, status) = (text(id, "stat"), text(id, "status"));
            stat.is_none_or(|stat| has_ended(&stat)) || status.is_some_and(|it| is_killed(&it))
        }),
    }
}

/// `PID (COMM) STATE …`, where COMM may contain anything; the flags are the sixth field after the state.
fn has_ended(stat: &str) -> bool {
    const EXITING: u64 = 0x4; // PF_EXITING of the kernel
    let mut fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let state = fields.next();
    let flags = fields.nth(5).and_then(|flags| flags.parse::<u64>().ok());
    matches!(state, Some("Z" | "X")) || flags.is_some_and(|flags| flags & EXITING != 0)
}

/// Whether SIGKILL is pending.
fn is_killed(status: &str) -> bool {
    const KILL: u64 = 1 << (libc::SIGKILL - 1);
    let pending = status.lines().filter_map(|line| {
        line.strip_prefix("SigPnd:")
            .or(line.strip_prefix("ShdPnd:"))
    });
    pending
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .any(|mask| mask & KILL != 0)
}

/// The process that has a socket bound to this port, if /proc shows it to this process.
pub fn of_port(address: SocketAddr) -> Option<Holder> {
    let tables = tables();
    let inodes = tables
        .lines()
        .filter_map(|row| inode_at(row, address.port()));
    let sockets: HashSet<u64> = inodes.collect();
    let processes = std::fs::read_dir("/proc").ok()?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let id = ids.into_iter().find(|&id| has_one_of(id, &sockets))?;
    Some(process(Some(id)))
}

/// The kernel's tables of sockets, one row each.
fn tables() -> String {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let tables = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default());
    tables.concat()
}

/// The user of a row's socket if it listens on this port.
fn user_that_listens(row: &str, port: u16) -> Option<u32> {
    const LISTENS: &str = "0A"; // TCP_LISTEN of the kernel
    inode_at(row, port)?;
    let mut fields = row.split_whitespace().skip(3);
    let is_listening = fields.next()? == LISTENS;
    let user = fields.nth(3)?.parse().ok()?;
    is_listening.then_some(user)
}

/// The inode of a row's socket if its local port is this one: `SLOT: ADDRESS:PORT REMOTE STATE … INODE …`.
fn inode_at(row: &str, port: u16) -> Option<u64> {
    let mut fields = row.split_whitespace().skip(1);
    let (_, local) = fields.next()?.rsplit_once(':')?;
    let inode = fields.nth(7)?.parse().ok()?;
    (u16::from_str_radix(local, 16) == Ok(port) && inode != 0).then_some(inode)
}

fn has_one_of(id: u32, sockets: &HashSet<u64>) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{id}/fd")) else {
        return false;
    };
    files.flatten().any(|file| {
        let target = std::fs::read_link(file.path()).unwrap_or_default();
        let inode = target.to_str().and_then(|target| {
            let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
            inode.parse().ok()
        });
        inode.is_some_and(|inode| sockets.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_holder_of_a_port_is_found_under_either_protocol() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                assert_ne!(address, "127.0.0.1:0");
                return flk_testkit::skipped("the holder of a port under IPv6: none here");
            };
            let found = of_port(listener.local_addr().unwrap()).unwrap();
            assert_eq!(found.id, Some(std::process::id()));
            assert!(found.name.is_some() && !found.is_ending());
            assert!(found.may_listen_on(listener.local_addr().unwrap()));
            assert!(!process(None).may_listen_on(listener.local_addr().unwrap()));
            let free = SocketAddr::from(([127, 0, 0, 1], 1));
            assert!(!found.may_listen_on(free));
        }
    }

    #[test]
    fn a_port_without_a_process_has_no_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(of_port(address), None);
    }

    #[test]
    fn an_ending_process_is_told_from_a_living_one() {
        assert!(!has_ended("7 (a) b) S 1 7 7 0 -1 4194560 1 2"));
        assert!(has_ended("7 (a) b) Z 1 7 7 0 -1 4194560 1 2"));
        assert!(has_ended("7 (a b) R 1 7 7 0 -1 4194564 1 2"));
        assert!(is_killed("Name:\ta\nSigPnd:\t0000000000000100\n"));
        assert!(is_killed("SigPnd:\t0\nShdPnd:\t0000000000000100\n"));
        assert!(!is_killed(
            "SigPnd:\t0\nShdPnd:\t0000000000004000\nSigBlk:\t0000000000000100\n"
        ));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = child.id();
        child.wait().unwrap();
        assert!(process(Some(id)).is_ending());
        assert!(!process(Some(std::process::id())).is_ending());
        assert!(!process(None).is_ending());
    }
}
