//! Listening sockets, one per shard in one SO_REUSEPORT group. They are made here, by the process, and handed to the
//! shards; nothing here accepts.

use super::DriverError;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Connections that may wait to be accepted, per shard. The kernel caps it at `net.core.somaxconn` (4,096 by default).
pub(super) const BACKLOG: i32 = 4096;

/// Why the process cannot listen.
#[derive(Debug)]
pub struct ListenError {
    /// Where it was to listen.
    pub address: SocketAddr,
    /// What the system said.
    pub error: std::io::Error,
}

impl std::fmt::Display for ListenError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ListenError { address, error } = self;
        write!(out, "cannot listen on {address}: {error}; ")?;
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => {
                write!(out, "another process has this port: stop it or set PORT")
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

/// Makes one listening socket per shard, all on the same address. With port 0 the kernel picks one port for all.
pub fn listeners(address: SocketAddr, shards: usize) -> Result<Vec<OwnedFd>, ListenError> {
    let failed = |error: rustix::io::Errno| ListenError {
        address,
        error: error.into(),
    };
    // Without SO_REUSEPORT first: it fails if anybody listens there, which sharing the port would hide.
    let guard = tcp_socket(address).map_err(failed)?;
    bind(&guard, &address).map_err(failed)?;
    let address = if address.port() == 0 {
        local_address(&guard).unwrap_or(address)
    } else {
        address
    };
    drop(guard);
    (0..shards)
        .map(|_| shared_listener(address).map_err(failed))
        .collect()
}

fn tcp_socket(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // A restart must not wait for the TIME_WAIT of the run before.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    Ok(socket)
}

fn shared_listener(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let socket = tcp_socket(address)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    // Accepted sockets inherit it: answers are written whole, so there is nothing for Nagle to gather.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn all_shards_listen_on_one_port() {
        let sockets = listeners(loopback(), 3).unwrap();
        let ports: Vec<u16> = sockets
            .iter()
            .map(|socket| local_address(socket).unwrap().port())
            .collect();
        assert!(ports[0] != 0 && ports.iter().all(|&port| port == ports[0]));
    }

    #[test]
    fn says_who_to_ask_when_the_port_is_taken() {
        let sockets = listeners(loopback(), 1).unwrap();
        let error = listeners(local_address(&sockets[0]).unwrap(), 1).unwrap_err();
        assert!(
            error.to_string().contains("another process has this port"),
            "{error}"
        );
    }
}
