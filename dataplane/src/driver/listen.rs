//! Listening sockets, one per shard in one SO_REUSEPORT group. They are made here and given to the shards; nothing here
//! accepts.

use super::DriverError;
use super::holder::{self, Holder};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long to wait for a port in use. After a process is killed the kernel closes its listeners, which takes some
/// milliseconds if they were used by io_uring; a process that stops gracefully takes longer.
pub const PORT_WAIT: Duration = Duration::from_secs(5);
/// Interval between attempts.
const TRY_EVERY: Duration = Duration::from_millis(5);

/// Connections that may wait to be accepted, per shard. The kernel caps it at `net.core.somaxconn` (4,096 by default).
pub const BACKLOG: i32 = 4096;

/// A listening socket of a shard.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: OwnedFd,
    /// It outlives the process: who waits in its queue at a stop is accepted by the next one.
    pub stays: bool,
}

impl Listener {
    /// One that the service manager keeps.
    pub fn that_stays(socket: OwnedFd) -> Listener {
        let stays = true;
        Listener { socket, stays }
    }

    /// How many clients of its queue are accepted while it is being closed: one full queue, which has a place more than was asked for,
    /// since closing it resets them. Without a bound a flood of connections would keep it open for ever.
    pub fn accepted_at_close(&self) -> i32 {
        match self.stays {
            true => 0,
            false => BACKLOG + 1,
        }
    }
}

impl From<OwnedFd> for Listener {
    /// One that is gone with the process.
    fn from(socket: OwnedFd) -> Listener {
        let stays = false;
        Listener { socket, stays }
    }
}

/// Why the process cannot listen.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// The error of the system.
    pub error: std::io::Error,
    /// The process that has the port, if it can be seen.
    pub holder: Option<Holder>,
    /// How long the start waited.
    pub waited: Duration,
}

impl ListenError {
    /// Whether the port is in use, so that a later start may succeed.
    pub fn is_taken(&self) -> bool {
        self.error.raw_os_error() == Some(libc::EADDRINUSE)
    }
}

impl std::fmt::Display for ListenError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ListenError {
            address,
            error,
            holder,
            waited,
        } = self;
        write!(out, "cannot listen on {address}: {error}; ")?;
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => {
                let seconds = waited.as_secs();
                match holder {
                    Some(holder) => write!(
                        out,
                        "{holder} has this port and kept it for {seconds} s: stop it or set PORT"
                    ),
                    None => write!(
                        out,
                        "no process that can be seen from here has this port, yet it was not free for {seconds} s: look in other containers and users' processes and for another gateway, which hides its descriptors from its own user, or set PORT"
                    ),
                }
            }
            Some(libc::EACCES) => {
                write!(out, "ports below 1024 need CAP_NET_BIND_SERVICE: set PORT")
            }
            Some(libc::EADDRNOTAVAIL) => write!(out, "no interface has this address: set LISTEN"),
            _ => write!(out, "check LISTEN and PORT"),
        }
    }
}

impl std::error::Error for ListenError {}

/// Makes one listening socket per shard, all on the same address. With port 0 the kernel picks one port for all. If the
/// port is in use it waits, and calls `waiting` once.
pub fn listeners(
    address: SocketAddr,
    shards: usize,
    wait: Duration,
    waiting: impl FnOnce(),
) -> Result<Vec<OwnedFd>, ListenError> {
    let mut waiting = Some(waiting);
    let mut waited = Duration::ZERO;
    loop {
        let error = match try_listen(address, shards) {
            Ok(sockets) => return Ok(sockets),
            Err(error) => error,
        };
        let is_taken = error == rustix::io::Errno::ADDRINUSE;
        if !is_taken || waited >= wait {
            return Err(ListenError {
                address,
                error: error.into(),
                holder: is_taken.then(|| holder::of_port(address)).flatten(),
                waited,
            });
        }
        if let Some(waiting) = waiting.take() {
            waiting();
        }
        std::thread::sleep(TRY_EVERY);
        waited += TRY_EVERY;
    }
}

fn try_listen(address: SocketAddr, shards: usize) -> rustix::io::Result<Vec<OwnedFd>> {
    // Without SO_REUSEPORT first: it fails if another process listens there, which sharing the port would hide.
    let guard = tcp_socket(address)?;
    bind(&guard, &address)?;
    let address = if address.port() == 0 {
        local_address(&guard).unwrap_or(address)
    } else {
        address
    };
    drop(guard);
    (0..shards).map(|_| shared_listener(address)).collect()
}

fn tcp_socket(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // A restart must not wait for TIME_WAIT connections of the previous run.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    Ok(socket)
}

fn shared_listener(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let socket = tcp_socket(address)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    // Accepted sockets inherit it. Responses are written whole, so Nagle's algorithm would only delay them.
    sockopt::set_tcp_nodelay(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// The address that a socket is bound to.
pub fn local_address(socket: &OwnedFd) -> Result<SocketAddr, DriverError> {
    let doing = "getsockname of a listener";
    let address =
        rustix::net::getsockname(socket).map_err(|error| DriverError::new(doing, error))?;
    SocketAddr::try_from(address).map_err(|error| DriverError::new(doing, error))
}

/// The address by which a process on this machine reaches a listener.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    fn at_once(address: SocketAddr, shards: usize) -> Result<Vec<OwnedFd>, ListenError> {
        listeners(address, shards, Duration::ZERO, || {})
    }

    #[test]
    fn all_shards_listen_on_one_port() {
        let sockets = at_once(loopback(), 3).unwrap();
        let ports: Vec<u16> = sockets
            .iter()
            .map(|socket| local_address(socket).unwrap().port())
            .collect();
        assert!(ports[0] != 0 && ports.iter().all(|&port| port == ports[0]));
    }

    #[test]
    fn a_taken_port_names_the_process_that_has_it() {
        let sockets = at_once(loopback(), 1).unwrap();
        let error = at_once(local_address(&sockets[0]).unwrap(), 1).unwrap_err();
        assert!(error.is_taken());
        let me = format!("process {} (", std::process::id());
        assert!(error.to_string().contains(&me), "{error}");
    }

    #[test]
    fn a_port_that_gets_free_in_time_is_taken() {
        let mut sockets = at_once(loopback(), 2).unwrap();
        let address = local_address(&sockets[0]).unwrap();
        let freed = listeners(address, 2, PORT_WAIT, || sockets.clear());
        assert_eq!(freed.unwrap().len(), 2);
    }
}
