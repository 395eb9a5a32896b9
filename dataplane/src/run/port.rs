//! The listening sockets of a run: those that the service manager passed, or its own.

use super::StartError;
use crate::config::Config;
use crate::driver::console::Console;
use crate::driver::listen::{Listener, PORT_WAIT, listeners};
use crate::driver::passed::{Passed, PassedError};
use crate::exit::Exit;
use crate::logs::events::{PortWaiting, SocketsPassed};

/// Takes the sockets that the service manager passed, or else the port; waits up to [`PORT_WAIT`] if another process has it.
pub(super) fn listen(
    config: &Config,
    shards: usize,
    passed: Result<Passed, PassedError>,
    console: &Console,
) -> Result<Vec<Listener>, StartError> {
    let passed = passed.map_err(|error| StartError::of(Exit::Configuration)(&error))?;
    let sockets_count = passed.count();
    if sockets_count > 0 {
        let message = format!(
            "{sockets_count} passed by the service manager, which keeps them: who connects during a restart waits"
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
