//! Tells the service manager that the gateway serves, lives and stops, in datagrams to the socket that `NOTIFY_SOCKET` names.
//! It never waits and never fails: a manager that hears nothing acts by its own rules.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager, or nothing if none asks.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// How often it wants to hear that the gateway lives; 0: it does not ask.
    alive_every_us: u64,
}

impl ServiceManager {
    /// The one that the environment names. To be called before a sandbox refuses sockets.
    pub fn of_environment() -> ServiceManager {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_for_this =
            number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let bound_us = number("WATCHDOG_USEC").filter(|_| is_for_this);
        ServiceManager {
            socket: std::env::var("NOTIFY_SOCKET")
                .ok()
                .and_then(|name| connect(&name).ok()),
            alive_every_us: bound_us.unwrap_or(0) / 2,
        }
    }

    /// The gateway serves.
    pub(super) fn say_ready(&self) {
        self.say("READY=1\n");
    }

    /// The gateway was asked to stop.
    pub(super) fn say_stopping(&self) {
        self.say("STOPPING=1\n");
    }

    /// The gateway lives: said if that is due; when it is due again, in microseconds.
    pub(super) fn say_alive(&self, now_us: u64, due_us: u64) -> u64 {
        match self.alive_every_us {
            0 => u64::MAX,
            _ if now_us < due_us => due_us,
            every_us => {
                self.say("WATCHDOG=1\n");
                now_us + every_us
            }
        }
    }

    fn say(&self, what: &str) {
        if let Some(socket) = &self.socket {
            // A full or closed socket is the manager's affair.
            let _ = socket.send(what.as_bytes());
        }
    }
}

fn connect(name: &str) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match name.strip_prefix('@') {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_in_a_datagram_and_life_only_when_it_is_due() {
        let (socket, manager_side) = UnixDatagram::pair().unwrap();
        manager_side.set_nonblocking(true).unwrap();
        let manager = ServiceManager {
            socket: Some(socket),
            alive_every_us: 100,
        };
        manager.say_ready();
        let due_us = manager.say_alive(7, 0);
        assert_eq!(due_us, 107);
        assert_eq!(manager.say_alive(106, due_us), 107);
        assert_eq!(manager.say_alive(107, due_us), 207);
        manager.say_stopping();
        let mut bytes = [0; 64];
        let mut heard = String::new();
        while let Ok(length) = manager_side.recv(&mut bytes) {
            heard.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
        assert_eq!(heard, "READY=1\nWATCHDOG=1\nWATCHDOG=1\nSTOPPING=1\n");
        assert_eq!(ServiceManager::default().say_alive(7, 0), u64::MAX);
    }
}
