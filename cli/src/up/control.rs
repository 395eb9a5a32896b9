//! The control process beside the gateway of `flk up`: the same program, kept alive until the gateway ends. It decides only
//! what that process is told.

use super::UpArgs;
use flk_control::options::{DATAPLANE, LIFELINE};
use flk_control::supervise::Supervisor;
use flk_dataplane::config::{Environment, Variable, is_setting, names_of_keys};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};

/// Variables that options of `flk up` may stand for.
const NAMES: [&str; 7] = [
    "LISTEN",
    "PORT",
    "FLK_PROFILE",
    "FLK_CORES",
    "FLK_CONFIG",
    "WAL_DIR",
    "LOG_FORMAT",
];

/// What a program needs of its environment before it reads a setting.
const OF_SYSTEM: [&str; 5] = ["PATH", "HOME", "TZ", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"];

/// What will be started; nothing if it is not wanted.
pub(super) struct Beside(Option<Command>);

/// It is kept alive from when the gateway listens.
pub(super) struct Running {
    supervisor: Option<Supervisor>,
    waiting: RefCell<Option<(Sender<Command>, Command)>>,
}

impl Beside {
    /// Takes what control needs of the environment as it is now: a gateway wipes secrets from its own. Control reads every
    /// setting that the gateway reads, also those with keys, for it compares fingerprints; it needs no other variable.
    pub(super) fn new(args: &UpArgs) -> Beside {
        let program = std::env::current_exe().ok().filter(|_| !args.no_control);
        Beside(program.map(|program| {
            let mut command = Command::new(program);
            let keys = names_of_keys(&args.flags());
            let is_needed =
                |name: &str| is_setting(name) || keys.contains(name) || OF_SYSTEM.contains(&name);
            let variables = std::env::vars_os();
            command
                .env_clear()
                .envs(variables.filter(|(name, _)| name.to_str().is_some_and(is_needed)));
            for name in NAMES {
                if let Some(value) = args.stands_for(name) {
                    command.env(name, value);
                }
            }
            command.args(["control", "run", LIFELINE]);
            command
        }))
    }

    /// The secrets of these settings were in pipes, which can be read once: control gets their texts.
    pub(super) fn with_pipes(mut self, read: &[Variable], environment: &Environment) -> Beside {
        if let Some(command) = &mut self.0 {
            for variable in read {
                let text = environment.get(variable.name()).unwrap_or_default();
                command.env(variable.name(), text);
                variable.file_name().map(|name| command.env_remove(name));
            }
        }
        self
    }

    /// Starts the thread that will start it. To be called before the gateway gives up its rights.
    pub(super) fn start(self, dev_key: Option<&Path>) -> std::io::Result<Running> {
        let Some(mut command) = self.0 else {
            return Ok(Running {
                supervisor: None,
                waiting: RefCell::new(None),
            });
        };
        if let Some(path) = dev_key {
            command.env("PCS_HMAC_KEY_FILE", path);
        }
        let (sender, receiver) = channel();
        Ok(Running {
            supervisor: Some(Supervisor::start(receiver)?),
            waiting: RefCell::new(Some((sender, command))),
        })
    }
}

impl Running {
    /// The gateway listens there.
    pub(super) fn listens(&self, address: SocketAddr) {
        if let Some((sender, mut command)) = self.waiting.take() {
            command.args([DATAPLANE, &address.to_string()]);
            // The thread is there until it has a command.
            let _ = sender.send(command);
        }
    }

    /// Makes control reload; nothing where none runs. It may be called from any thread.
    pub(super) fn reload(&self) -> Option<Box<dyn Fn() + Send + Sync>> {
        self.supervisor.as_ref().map(Supervisor::reload)
    }

    /// The gateway has ended.
    pub(super) fn stop(self) {
        drop(self.waiting);
        if let Some(supervisor) = self.supervisor {
            supervisor.stop();
        }
    }
}
