//! Stores as child processes, each alone in directories of its own on the disk that is measured: made, started, killed, started
//! again. It ends only processes that it started, and removes only directories that it made.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use flk_testkit::child::Signal;
use flk_testkit::process::Process;

use crate::server::WalDir;

/// A start replays what was written before a kill.
const START_MAX: Duration = Duration::from_secs(120);
/// PostgreSQL does not run as root; its package makes this user.
const POSTGRES_USER: &str = "postgres";

/// What a server keeps its records in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backing {
    None,
    /// A file of its own.
    Directory,
    Postgres,
    /// With this `appendfsync`.
    Redis(&'static str),
    /// With this `sync_interval`.
    Nats(&'static str),
}

impl Backing {
    /// What is missing on this machine, if anything is.
    pub(super) fn lacks(self) -> Option<String> {
        let (program, package) = match self {
            Self::None | Self::Directory => return None,
            Self::Postgres => ("initdb", "Debian: postgresql"),
            Self::Redis(_) => ("redis-server", "Debian: redis-server"),
            Self::Nats(_) => (
                "nats-server",
                "`make bench-peers` builds it from the Go module proxy",
            ),
        };
        found(program)
            .is_none()
            .then(|| format!("no {program} on this machine ({package})"))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::None | Self::Directory => "file",
            Self::Postgres => "postgres",
            Self::Redis(_) => "redis",
            Self::Nats(_) => "nats",
        }
    }

    /// What it says when it takes requests.
    const fn ready(self) -> &'static str {
        match self {
            Self::None | Self::Directory => "",
            Self::Postgres => "database system is ready to accept connections",
            Self::Redis(_) => "ready to accept connections at",
            Self::Nats(_) => "Server is ready",
        }
    }
}

/// A program on the PATH, or where Debian keeps versions of PostgreSQL, the newest first.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut versions: Vec<PathBuf> = versions.map(|it| it.path().join("bin")).collect();
    versions.sort();
    directories.extend(versions.into_iter().rev());
    let programs = directories.into_iter().map(|it| it.join(program));
    programs.into_iter().find(|path| path.is_file())
}

/// A store that runs, or has run. The process ends before its directories go.
pub(super) struct Store {
    backing: Backing,
    process: Option<Process>,
    at: String,
    data: PathBuf,
    /// User and group of its process, if it may not be ours.
    user: Option<(u32, u32)>,
    sockets: WalDir,
    _data: WalDir,
}

impl Store {
    /// An empty one that takes requests; none where nothing is to be kept.
    pub(super) fn start(backing: Backing, work_dir: &Path) -> io::Result<Option<Self>> {
        if backing == Backing::None {
            return Ok(None);
        }
        let own = WalDir::make(work_dir, backing.name())?;
        let data = std::path::absolute(own.path())?;
        // The path of a socket has a hundred characters at most.
        let sockets = WalDir::make(&std::env::temp_dir(), "flk-peers")?;
        let user = match backing == Backing::Postgres && rustix::process::geteuid().is_root() {
            true => Some(user(POSTGRES_USER)?),
            false => None,
        };
        for directory in [&data, &sockets.path().to_path_buf()] {
            std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
            if let Some((user, group)) = user {
                std::os::unix::fs::chown(directory, Some(user), Some(group))?;
            }
        }
        let at = match backing {
            Backing::None | Backing::Directory => data.display().to_string(),
            Backing::Postgres => {
                format!("host={} user=flk dbname=postgres", sockets.path().display())
            }
            Backing::Redis(_) => format!("redis+unix://{}/redis.sock", sockets.path().display()),
            Backing::Nats(_) => format!("nats://127.0.0.1:{}", flk_testkit::gateway::free_port()),
        };
        let mut store = Self {
            backing,
            process: None,
            at,
            data,
            user,
            sockets,
            _data: own,
        };
        if backing == Backing::Postgres {
            store.make_cluster()?;
        }
        store.start_again()?;
        Ok(Some(store))
    }

    /// Where a server finds it.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    /// Its first process; none if the server itself keeps the records.
    pub(super) fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Starts its process on what is there.
    pub(super) fn start_again(&mut self) -> io::Result<()> {
        let Some(mut command) = self.command()? else {
            return Ok(());
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let process = Process::start(command)?;
        let ready = self.backing.ready();
        let says_so = |text: &str| text.contains(ready).then_some(());
        // Redis alone speaks on its standard output.
        let lines = match self.backing {
            Backing::Redis(_) => process.printed(),
            _ => process.lines(),
        };
        if lines.wait_for(START_MAX, says_so).is_none() {
            let (name, said) = (self.backing.name(), lines.so_far());
            return Err(io::Error::other(format!(
                "{name} does not start; it said:\n{said}"
            )));
        }
        self.process = Some(process);
        Ok(())
    }

    /// Asks it to stop and waits.
    pub(super) fn stop(mut self) {
        if let Some(mut process) = self.process.take() {
            // PostgreSQL waits for clients at a TERM.
            process.signal(Signal::INT);
            process.ended(START_MAX);
        }
    }

    /// Ends it at once. Its children end by themselves when they see that.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    fn command(&self) -> io::Result<Option<Command>> {
        let data = self.data.to_string_lossy().into_owned();
        let sockets = self.sockets.path().display();
        Ok(Some(match self.backing {
            Backing::None | Backing::Directory => return Ok(None),
            Backing::Postgres => {
                let mut command = self.program("postgres")?;
                command.args(["-D", &data, "-c", "listen_addresses="]);
                command.args(["-c", &format!("unix_socket_directories={sockets}")]);
                // So that no checkpoint falls into a run of seconds, and the table stays in memory.
                command.args(["-c", "max_wal_size=16GB", "-c", "checkpoint_timeout=1h"]);
                command.args(["-c", "shared_buffers=1GB"]);
                command
            }
            Backing::Redis(appendfsync) => {
                let mut command = self.program("redis-server")?;
                command.args(["--port", "0", "--dir", &data, "--save", ""]);
                command.args(["--unixsocket", &format!("{sockets}/redis.sock")]);
                command.args(["--appendonly", "yes", "--appendfsync", appendfsync]);
                // A rewrite would only copy what is there: no key is written twice.
                command.args(["--auto-aof-rewrite-percentage", "0"]);
                command
            }
            Backing::Nats(sync_interval) => {
                let port = self.at.rsplit(':').next().unwrap_or_default();
                let file = self.data.join("nats.conf");
                let text = format!(
                    "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{data}\", sync_interval: {sync_interval} }}\n"
                );
                std::fs::write(&file, text)?;
                let mut command = self.program("nats-server")?;
                command.arg("--config").arg(file);
                command
            }
        }))
    }

    /// A program of this store, run by its user.
    fn program(&self, name: &str) -> io::Result<Command> {
        let path = found(name).ok_or_else(|| io::Error::other(format!("no {name}")))?;
        let mut command = Command::new(path);
        command.current_dir("/");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        Ok(command)
    }

    fn make_cluster(&self) -> io::Result<()> {
        let mut command = self.program("initdb")?;
        command.args([
            "--username=flk",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "-D",
        ]);
        let output = command.arg(&self.data).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!(
            "initdb failed; the user {POSTGRES_USER} has to reach --work-dir:\n{said}"
        )))
    }
}

/// User and group of this name.
fn user(name: &str) -> io::Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    ids_in(&users, name).ok_or_else(|| {
        io::Error::other(format!(
            "PostgreSQL does not run as root, and there is no user {name}: run this as another user"
        ))
    })
}

fn ids_in(users: &str, name: &str) -> Option<(u32, u32)> {
    let mut lines = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.first() == Some(&name))?;
    Some((line.get(2)?.parse().ok()?, line.get(3)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";
        assert_eq!(ids_in(users, "postgres"), Some((101, 104)));
        assert_eq!(ids_in(users, "post"), None);
    }

    #[test]
    fn what_is_not_installed_is_named() {
        assert_eq!(found("no-such-program-anywhere"), None);
        assert!(found("sh").is_some());
        assert_eq!(Backing::Directory.lacks(), None);
    }
}
