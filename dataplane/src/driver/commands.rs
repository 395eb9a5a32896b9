//! `keeper.sock`: lines from operators to the keeper, and one line back for each. It owns the socket and its clients; it
//! does not understand a command.

use super::DriverError;
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::wal::files::SOCKET;
use rustix::event::PollFlags;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A command is shorter than this; who sends more is disconnected.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Operators at a time; further ones wait.
const CLIENTS_MAX: usize = 16;
/// A socket's path may have 107 bytes; a longer one is reached through its directory's descriptor.
const PATH_BYTES_MAX: usize = 107;

/// The socket and those who are connected to it.
#[derive(Debug)]
pub(super) struct Commands {
    listener: UnixListener,
    path: PathBuf,
    clients: HashMap<u64, Client>,
    /// Which client a command came from.
    asked: HashMap<CommandId, u64>,
    next_client: u64,
    next_command: u64,
    /// The last accept was refused for want of a descriptor or memory: the listener would be readable again and again.
    accept_refused: bool,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// No more commands will come; it stays until all answers are out.
    ended: bool,
    /// Commands not yet answered.
    open_count: u32,
}

/// A path by which the socket in this directory can be bound or reached, however deep the directory lies.
pub fn socket_path(directory: BorrowedFd<'_>, path: &Path) -> PathBuf {
    let direct = path.join(SOCKET);
    if direct.as_os_str().len() <= PATH_BYTES_MAX {
        direct
    } else {
        let directory = format!("/proc/self/fd/{}", directory.as_raw_fd());
        Path::new(&directory).join(SOCKET)
    }
}

impl Commands {
    /// Listens in the directory, for its owner only. A socket that nobody serves any more is replaced; one that is served
    /// is left alone, for its server holds the directory's lock.
    pub(super) fn listen(
        directory: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<Option<Commands>, DriverError> {
        let failed = |error| DriverError::new("listen on WAL_DIR/keeper.sock", error);
        let path = socket_path(directory, path);
        let listener = match UnixListener::bind(&path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if UnixStream::connect(&path).is_ok() {
                    return Ok(None);
                }
                std::fs::remove_file(&path).map_err(failed)?;
                UnixListener::bind(&path)
            }
            other => other,
        };
        let listener = listener.map_err(failed)?;
        let only_owner = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, only_owner).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Some(Commands {
            listener,
            path,
            clients: HashMap::new(),
            asked: HashMap::new(),
            next_client: 0,
            next_command: 0,
            accept_refused: false,
        }))
    }

    /// What to poll, and for what.
    pub(super) fn polled(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let room = self.clients.len() < CLIENTS_MAX && !self.accept_refused;
        let listener = room.then(|| (self.listener.as_fd(), PollFlags::IN));
        let clients = self.clients.values().map(|client| {
            let mut flags = PollFlags::empty();
            // One that ended is readable for ever.
            flags.set(PollFlags::IN, !client.ended);
            flags.set(PollFlags::OUT, !client.output.is_empty());
            (client.stream.as_fd(), flags)
        });
        // Even asked for nothing, `poll` reports a hang-up again and again.
        let clients = clients.filter(|(_, flags)| !flags.is_empty());
        listener.into_iter().chain(clients)
    }

    /// Accepts, reads and writes whatever is ready; whole lines become events.
    pub(super) fn work(&mut self, events: &mut Vec<KeeperEvent>) {
        self.accept_refused = false;
        while self.clients.len() < CLIENTS_MAX {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => {
                    let goes_on = [
                        ErrorKind::WouldBlock,
                        ErrorKind::Interrupted,
                        ErrorKind::ConnectionAborted,
                    ];
                    // Tried again with whatever wakes the keeper next, once a second at least.
                    self.accept_refused = !goes_on.contains(&error.kind());
                    break;
                }
            };
            if stream.set_nonblocking(true).is_ok() {
                let client = Client {
                    stream,
                    input: Vec::new(),
                    output: Vec::new(),
                    ended: false,
                    open_count: 0,
                };
                self.clients.insert(self.next_client, client);
                self.next_client += 1;
            }
        }
        let Commands {
            clients,
            asked,
            next_command,
            ..
        } = self;
        clients.retain(|&name, client| {
            let whole = client.read();
            while let Some(line) = client.take_line() {
                let id = CommandId(*next_command);
                *next_command += 1;
                asked.insert(id, name);
                client.open_count += 1;
                events.push(KeeperEvent::Command { id, line });
            }
            let kept = whole && client.input.len() <= LINE_BYTES_MAX && client.write();
            let done = client.ended && client.open_count == 0 && client.output.is_empty();
            kept && !done
        });
    }

    /// Queues the answer to a command; nobody gets it if its client is gone.
    pub(super) fn reply(&mut self, id: CommandId, text: &str) {
        let Some(name) = self.asked.remove(&id) else {
            return;
        };
        if let Some(client) = self.clients.get_mut(&name) {
            client.output.extend_from_slice(text.as_bytes());
            client.output.push(b'\n');
            client.open_count -= 1;
            let done = client.ended && client.open_count == 0;
            if !client.write() || (done && client.output.is_empty()) {
                self.clients.remove(&name);
            }
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        // A socket left behind by a crash is replaced at the next start; this is tidiness.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Client {
    /// Reads what is there; false if the client is of no use any more.
    fn read(&mut self) -> bool {
        let mut chunk = [0; 4096];
        while !self.ended && self.input.len() <= LINE_BYTES_MAX {
            match self.stream.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(bytes) => self.input.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// The next whole line, without its end. What is not UTF-8 becomes a line that no command looks like.
    fn take_line(&mut self) -> Option<String> {
        let end = self.input.iter().position(|&byte| byte == b'\n')?;
        let rest = self.input.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.input, rest);
        line.truncate(end);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// Writes what the socket takes; false if the client is of no use any more.
    fn write(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(bytes) => {
                    self.output.drain(..bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::files::open_directory;

    fn lines(commands: &mut Commands) -> Vec<(CommandId, String)> {
        let mut events = Vec::new();
        commands.work(&mut events);
        let plain = |event| match event {
            KeeperEvent::Command { id, line } => (id, line),
            other => panic!("unexpected {other:?}"),
        };
        events.into_iter().map(plain).collect()
    }

    #[test]
    fn lines_become_commands_and_answers_find_their_client() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(120));
        for path in [directory.path(), &deep] {
            let opened = open_directory(path).unwrap();
            let mut commands = Commands::listen(opened.as_fd(), path).unwrap().unwrap();
            let mode = path.join(SOCKET).metadata().unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
            let mut one = UnixStream::connect(socket_path(opened.as_fd(), path)).unwrap();
            let mut two = UnixStream::connect(socket_path(opened.as_fd(), path)).unwrap();
            one.write_all(b"flk1 pin\r\nflk1 com").unwrap();
            two.write_all(b"flk1 unpin 7\n").unwrap();
            two.shutdown(std::net::Shutdown::Write).unwrap();
            let mut first = lines(&mut commands);
            first.sort_by(|a, b| a.1.cmp(&b.1));
            assert_eq!(first[0].1, "flk1 pin");
            assert_eq!(first[1].1, "flk1 unpin 7");
            commands.reply(first[1].0, "ok two");
            commands.reply(first[0].0, "ok one");
            one.write_all(b"pact\n").unwrap();
            one.shutdown(std::net::Shutdown::Write).unwrap();
            let second = lines(&mut commands);
            assert_eq!(second[0].1, "flk1 compact");
            commands.reply(second[0].0, "ok three");
            let mut text = String::new();
            two.read_to_string(&mut text).unwrap();
            assert_eq!(text, "ok two\n");
            text.clear();
            one.read_to_string(&mut text).unwrap();
            assert_eq!(text, "ok one\nok three\n");
            assert!(commands.clients.is_empty());
        }
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_served_one_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let opened = open_directory(directory.path()).unwrap();
        let socket = directory.path().join(SOCKET);
        drop(UnixListener::bind(&socket).unwrap());
        let listen = || Commands::listen(opened.as_fd(), directory.path()).unwrap();
        let served = listen().expect("nobody serves it");
        assert!(listen().is_none());
        drop(served);
        assert!(!socket.exists());
    }
}
