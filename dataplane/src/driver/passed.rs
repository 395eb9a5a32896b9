//! Listening sockets that a service manager made and passes to the process, by the protocol of `sd_listen_fds(3)`. They outlive
//! the process: who connects while one stops and the next one starts waits in their queues.

use super::listen::{Listener, local_address};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{SocketType, sockopt};
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The first descriptor that is passed; the others follow.
const FIRST: RawFd = 3;
/// More are a mistake.
const COUNT_MAX: u16 = 1024;

/// Why sockets that were passed cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassedError {
    /// `LISTEN_FDS` is no number of descriptors.
    Count(String),
    /// A descriptor is not open.
    NotOpen(RawFd),
    /// A descriptor is no listening TCP socket.
    NotListening(RawFd),
    /// They listen on several addresses.
    Addresses(SocketAddr, SocketAddr),
    /// One for all shards cannot be copied for each.
    NotCopied(String),
    /// They are neither one for all shards nor one for each.
    Shards {
        /// How many were passed.
        passed: usize,
        /// How many shards there are.
        shards: usize,
    },
}

impl fmt::Display for PassedError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PassedError::Count(text) => write!(
                out,
                "LISTEN_FDS={text}: not a number of descriptors from 1 to {COUNT_MAX}, as a service manager sets it"
            ),
            PassedError::NotOpen(descriptor) => write!(
                out,
                "LISTEN_FDS promises descriptor {descriptor}, which is not open: start the gateway by its socket unit"
            ),
            PassedError::NotListening(descriptor) => write!(
                out,
                "descriptor {descriptor}, passed by the service manager, is no listening TCP socket: the socket unit may have ListenStream= with a port only"
            ),
            PassedError::Addresses(one, other) => write!(
                out,
                "the service manager passes sockets of {one} and of {other}: the gateway has one address"
            ),
            PassedError::NotCopied(why) => write!(
                out,
                "the socket that the service manager passes cannot be shared by the shards: {why}"
            ),
            PassedError::Shards { passed, shards } => write!(
                out,
                "the service manager passes {passed} sockets, and there are {shards} shards: the socket unit must name the address once, or once for each shard with ReusePort=yes; or set FLK_CORES"
            ),
        }
    }
}

impl std::error::Error for PassedError {}

/// Sockets that were passed to this process.
#[derive(Debug, Default)]
pub struct Passed(Vec<OwnedFd>);

impl Passed {
    /// Takes them, by `LISTEN_PID` and `LISTEN_FDS` of the environment. To be called before anything else opens a file. None are
    /// left for a second call.
    ///
    /// # Errors
    /// The environment promises what is not there.
    pub fn take() -> Result<Passed, PassedError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        if !are_for_us() || TAKEN.swap(true, Ordering::Relaxed) {
            return Ok(Passed::default());
        }
        let count = count_of(&variable("LISTEN_FDS"))?;
        let descriptors = FIRST..FIRST + RawFd::from(count);
        descriptors
            .map(take_one)
            .collect::<Result<_, _>>()
            .map(Passed)
    }

    /// Whether the environment has sockets that are for another process; they are not taken.
    pub fn are_for_another() -> bool {
        !variable("LISTEN_FDS").is_empty() && !are_for_us()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// One for each shard: its own, or the same for all.
    ///
    /// # Errors
    /// They are no listening sockets, not of one address, or of another number.
    pub fn listeners(self, shards: usize) -> Result<Vec<Listener>, PassedError> {
        let mut address = None;
        for (socket, descriptor) in self.0.iter().zip(FIRST..) {
            let found = listens_on(socket).ok_or(PassedError::NotListening(descriptor))?;
            let first = *address.get_or_insert(found);
            if first != found {
                return Err(PassedError::Addresses(first, found));
            }
        }
        let passed = self.0.len();
        let wrong = PassedError::Shards { passed, shards };
        let mut sockets = self.0;
        while passed == 1 && sockets.len() < shards {
            let copy = sockets[0].try_clone();
            let copy = copy.map_err(|error| PassedError::NotCopied(error.to_string()))?;
            sockets.push(copy);
        }
        if sockets.len() != shards {
            return Err(wrong);
        }
        Ok(sockets.into_iter().map(Listener::that_stays).collect())
    }
}

/// Its value; empty where it is not set.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn are_for_us() -> bool {
    variable("LISTEN_PID").parse() == Ok(std::process::id())
}

fn count_of(text: &str) -> Result<u16, PassedError> {
    let count = text.parse().ok().filter(|it| (1..=COUNT_MAX).contains(it));
    count.ok_or_else(|| PassedError::Count(text.to_owned()))
}

/// Owns a descriptor that was passed, and keeps it from programs that this process may start.
#[allow(unsafe_code)]
fn take_one(descriptor: RawFd) -> Result<OwnedFd, PassedError> {
    // SAFETY: asks for the flags of a number, whatever it stands for.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
        return Err(PassedError::NotOpen(descriptor));
    }
    // SAFETY: it is open, was passed to this process for it to own, and is taken once.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    fcntl_setfd(&socket, FdFlags::CLOEXEC).map_err(|_| PassedError::NotOpen(descriptor))?;
    Ok(socket)
}

/// The address that a listening TCP socket has; none of anything else.
fn listens_on(socket: &OwnedFd) -> Option<SocketAddr> {
    let is_stream = sockopt::socket_type(socket) == Ok(SocketType::STREAM);
    let listens = sockopt::socket_acceptconn(socket) == Ok(true);
    let address = local_address(socket).ok()?;
    // As of those that the process makes itself: answers are written whole.
    let is_tcp = sockopt::set_tcp_nodelay(socket, true).is_ok();
    (is_stream && listens && is_tcp).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::listen::listeners;
    use std::net::{TcpListener, UdpSocket};
    use std::time::Duration;

    fn sockets(count: usize) -> Vec<OwnedFd> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        listeners(any, count, Duration::ZERO, || {}).unwrap()
    }

    #[test]
    fn each_shard_has_a_socket_of_its_own_or_all_have_the_same() {
        for (passed, shards) in [(1, 1), (3, 3), (1, 4)] {
            let sockets = sockets(passed);
            let address = local_address(&sockets[0]).unwrap();
            let given = Passed(sockets).listeners(shards).unwrap();
            assert_eq!(given.len(), shards);
            for listener in given {
                assert!(listener.stays);
                assert_eq!(local_address(&listener.socket).unwrap(), address);
            }
        }
    }

    #[test]
    fn another_number_than_that_of_shards_is_refused_with_what_helps() {
        for (passed, shards) in [(2, 1), (2, 3), (4, 2)] {
            let refused = Passed(sockets(passed)).listeners(shards).unwrap_err();
            assert_eq!(refused, PassedError::Shards { passed, shards });
            assert!(refused.to_string().contains("ReusePort=yes"), "{refused}");
        }
    }

    #[test]
    fn what_does_not_listen_for_tcp_is_refused_by_its_number() {
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connected = std::net::TcpStream::connect(address).unwrap();
        let file = tempfile::tempfile().unwrap();
        let path = tempfile::tempdir().unwrap();
        let local = std::os::unix::net::UnixListener::bind(path.path().join("socket")).unwrap();
        for wrong in [
            OwnedFd::from(datagrams),
            OwnedFd::from(connected),
            OwnedFd::from(file),
            OwnedFd::from(local),
        ] {
            let mut all = sockets(1);
            all.push(wrong);
            let refused = Passed(all).listeners(2).unwrap_err();
            assert_eq!(refused, PassedError::NotListening(4));
        }
    }

    #[test]
    fn sockets_of_two_addresses_are_refused() {
        let all = sockets(1).into_iter().chain(sockets(1)).collect();
        let refused = Passed(all).listeners(2).unwrap_err();
        assert!(matches!(refused, PassedError::Addresses(..)), "{refused}");
    }

    #[test]
    fn a_count_is_a_number_of_sockets() {
        assert_eq!(count_of("1"), Ok(1));
        assert_eq!(count_of("1024"), Ok(1024));
        for text in ["", "0", "-1", "1025", "two", "3 "] {
            assert_eq!(count_of(text), Err(PassedError::Count(text.to_owned())));
        }
    }
}
