//! The listening sockets of a run: those that the service manager passed, or its own.

use super::{StartError, Surroundings};
use crate::config::Config;
use crate::driver::listen::{Listener, PORT_WAIT, listeners, local_address};
use crate::driver::passed::Passed;
use crate::exit::Exit;
use crate::logs::events::{PortWaiting, SocketsPassed, VariableUnknown};
use crate::shard::config::AcceptsFrom;
use std::net::SocketAddr;

/// Takes the sockets that the service manager passed, or else the port; waits up to [`PORT_WAIT`] if another process has it.
pub(super) fn listen(
    config: &Config,
    shards: usize,
    surroundings: &Surroundings,
) -> Result<(Vec<Listener>, SocketAddr), StartError> {
    let listeners = sockets(config, shards, surroundings)?;
    let address = match listeners.first() {
        Some(listener) => local_address(&listener.socket)?,
        None => config.listen,
    };
    Ok((listeners, address))
}

/// When shards accept their first clients: those of a socket that was there before the process wait until records are admitted.
pub(super) fn accepts_from(listeners: &[Listener]) -> AcceptsFrom {
    match listeners.iter().all(|it| it.stays) {
        true => AcceptsFrom::Serving,
        false => AcceptsFrom::Start,
    }
}

fn sockets(
    config: &Config,
    shards: usize,
    surroundings: &Surroundings,
) -> Result<Vec<Listener>, StartError> {
    let console = &surroundings.console;
    let passed = surroundings.take_passed();
    let passed = passed.map_err(|error| StartError::of(Exit::Configuration)(&error))?;
    let sockets_count = passed.count();
    if Passed::are_for_another() {
        let variable = "LISTEN_PID".to_owned();
        let message = "LISTEN_PID is not this process: the sockets of LISTEN_FDS are not taken, and who connects to them waits for ever. A wrapper has to exec the gateway";
        console.say(VariableUnknown { variable }, message);
    }
    if sockets_count > 0 {
        let message = format!(
            "{sockets_count} passed by the service manager, which keeps them: who connects during a restart waits{}",
            match sockets_count < shards {
                true =>
                    "; shards share it, and one may get all the connections: name the address once for each shard, with ReusePort=yes",
                false => "",
            }
        );
        console.say(SocketsPassed { sockets_count }, message);
        let passed = passed.listeners(shards);
        return passed.map_err(|error| StartError::of(Exit::Configuration)(&error));
    }
    let waiting = || {
        let address = config.listen.to_string();
        let message = format!(
            "{address} is taken: waiting up to 5 s for it (the kernel holds the port of a process that was just killed a little longer)"
        );
        console.say(PortWaiting { address }, message);
    };
    let made = listeners(config.listen, shards, PORT_WAIT, waiting).map_err(|error| {
        let exit = match error.is_taken() {
            true => Exit::Again,
            false => Exit::Configuration,
        };
        StartError::of(exit)(&error)
    })?;
    Ok(made.into_iter().map(Listener::from).collect())
}
