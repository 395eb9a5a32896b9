//! A Unix socket in WAL_DIR for processes of the same user, and of a group that may read: a line comes in, one line goes back. It owns the socket and its
//! clients. It interprets no line but the one that asks for the memory of the statistics, which only a socket can answer. A
//! client never costs more than a connection, one line and one answer.

use super::DriverError;
use super::group::ReadGroup;
use super::peer::Allowed;
use crate::keeper::port::CommandId;
use rustix::event::PollFlags;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::collections::HashMap;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Clients at a time. A further one replaces the client that has been idle longest; it waits only if all have a command in
/// flight.
const CLIENTS_MAX: usize = 16;
/// Time until the next attempt, in microseconds, after the system had no descriptor for a client.
const ACCEPT_AGAIN_US: u64 = 100_000;
/// Longest path of a socket; a longer one is reached through the descriptor of its directory.
const PATH_BYTES_MAX: usize = 107;

/// What a client asks for the statistics with.
pub(super) const ASK_FOR_STATISTICS: &str = "flk1 statistics";
/// The line that comes with their memory.
const HANDED_OVER: &[u8] = b"ok\n";

/// The socket and its clients.
#[derive(Debug)]
pub(super) struct LineSocket {
    listener: UnixListener,
    /// A line is shorter than this; a client that sends more without a line end is disconnected.
    line_bytes_max: usize,
    path: PathBuf,
    /// The group whose members may ask for what readers need.
    readers: Option<ReadGroup>,
    clients: HashMap<u64, Client>,
    /// The memory of the statistics, if others can map it.
    statistics: Option<OwnedFd>,
    /// The client of each command in flight.
    asked: HashMap<CommandId, u64>,
    next_client: u64,
    next_command: u64,
    /// No accept before this monotonic time, because one failed.
    accept_again_us: u64,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    allowed: Allowed,
    input: Vec<u8>,
    /// Where the first line in `input` ends.
    line_end: Option<usize>,
    output: Vec<u8>,
    /// No more commands will come; it is kept until its answer has been written.
    ended: bool,
    /// A command is in flight. Nothing is read until it is answered, so a client cannot queue commands here.
    is_open: bool,
    /// Counter value at its last accept, command or answer.
    turn: u64,
}

/// A path by which the socket of this name in this directory can be bound or connected to, however long the path of the
/// directory is.
pub fn socket_path(directory: BorrowedFd<'_>, path: &Path, name: &str) -> PathBuf {
    let direct = path.join(name);
    if direct.as_os_str().len() <= PATH_BYTES_MAX {
        direct
    } else {
        let directory = format!("/proc/self/fd/{}", directory.as_raw_fd());
        Path::new(&directory).join(name)
    }
}

impl LineSocket {
    /// Listens in the directory, for its owner only. The caller holds the directory's lock, so an existing socket is stale
    /// and is replaced.
    pub(super) fn listen(
        directory: BorrowedFd<'_>,
        path: &Path,
        name: &str,
        line_bytes_max: usize,
    ) -> Result<LineSocket, DriverError> {
        let failed = |error| DriverError::new("listen on a socket in WAL_DIR", error);
        let path = socket_path(directory, path, name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let only_owner = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, only_owner).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(LineSocket {
            listener,
            line_bytes_max,
            path,
            readers: None,
            clients: HashMap::new(),
            statistics: None,
            asked: HashMap::new(),
            next_client: 0,
            next_command: 0,
            accept_again_us: 0,
        })
    }

    /// Lets members of a group connect, and ask for what readers need.
    pub(super) fn open_to(mut self, readers: Option<ReadGroup>) -> Result<LineSocket, DriverError> {
        let failed = |error| DriverError::new("give the socket in WAL_DIR to WAL_DIR_GROUP", error);
        if let Some(readers) = readers {
            std::os::unix::fs::chown(&self.path, None, Some(readers.number())).map_err(failed)?;
            let owner_and_group = std::fs::Permissions::from_mode(0o660);
            std::fs::set_permissions(&self.path, owner_and_group).map_err(failed)?;
            self.readers = Some(readers);
        }
        Ok(self)
    }

    /// Hands this memory to clients that ask for it.
    pub(super) fn publish(&mut self, statistics: Option<OwnedFd>) {
        self.statistics = statistics;
    }

    /// What to poll, and for what.
    pub(super) fn polled(&self, now_us: u64) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let takes = now_us >= self.accept_again_us && self.has_room();
        let listener = takes.then(|| (self.listener.as_fd(), PollFlags::IN));
        let clients = self.clients.values().map(|client| {
            let mut flags = PollFlags::empty();
            // A client that ended would stay readable for ever.
            flags.set(PollFlags::IN, client.takes_more());
            flags.set(PollFlags::OUT, !client.output.is_empty());
            (client.stream.as_fd(), flags)
        });
        // Without any flag `poll` would still report a hang-up again and again.
        let clients = clients.filter(|(_, flags)| !flags.is_empty());
        listener.into_iter().chain(clients)
    }

    /// When `work` must be called although no descriptor is ready.
    pub(super) fn wake_at_us(&self, now_us: u64) -> u64 {
        // A line that arrived before the last answer is in the buffer and makes no descriptor readable.
        let line_waits = self.clients.values().any(Client::has_next);
        match now_us < self.accept_again_us {
            _ if line_waits => now_us,
            true => self.accept_again_us,
            false => u64::MAX,
        }
    }

    /// Accepts, reads and writes what is ready. Complete lines are returned, one per client at a time.
    pub(super) fn work(&mut self, now_us: u64, lines: &mut Vec<(CommandId, String)>) {
        self.accept(now_us);
        let (line_bytes_max, readers) = (self.line_bytes_max, self.readers);
        let LineSocket {
            clients,
            asked,
            statistics,
            next_command,
            ..
        } = self;
        clients.retain(|&name, client| {
            let is_sound = client.write() && client.read(line_bytes_max);
            if client.has_next()
                && let Some(line) = client.take_line()
            {
                if let Err(why) = client.allowed.permits(&line, readers) {
                    client
                        .output
                        .extend_from_slice(format!("{why}\n").as_bytes());
                    return client.write() && !client.is_done();
                }
                if line == ASK_FOR_STATISTICS {
                    return client.hand_over(statistics.as_ref());
                }
                let id = CommandId(*next_command);
                *next_command += 1;
                asked.insert(id, name);
                client.is_open = true;
                client.turn = id.0;
                lines.push((id, line));
            }
            is_sound && client.input.len() <= line_bytes_max && !client.is_done()
        });
    }

    fn accept(&mut self, now_us: u64) {
        while now_us >= self.accept_again_us && self.has_room() {
            match self.listener.accept() {
                Ok((stream, _)) if stream.set_nonblocking(true).is_ok() => self.admit(stream),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // No descriptor or no memory. The listener stays readable, so polling it now would spin.
                Err(_) => self.accept_again_us = now_us + ACCEPT_AGAIN_US,
            }
        }
    }

    fn has_room(&self) -> bool {
        self.clients.len() < CLIENTS_MAX || self.idlest().is_some()
    }

    /// The client without a command in flight that has been idle longest.
    fn idlest(&self) -> Option<u64> {
        let idle = self.clients.iter().filter(|(_, client)| !client.is_open);
        let oldest = idle.min_by_key(|(name, client)| (client.turn, **name));
        oldest.map(|(&name, _)| name)
    }

    fn admit(&mut self, stream: UnixStream) {
        if self.clients.len() >= CLIENTS_MAX
            && let Some(idlest) = self.idlest()
        {
            self.clients.remove(&idlest);
        }
        let client = Client {
            allowed: Allowed::of(&stream, self.readers),
            stream,
            input: Vec::new(),
            line_end: None,
            output: Vec::new(),
            ended: false,
            is_open: false,
            turn: self.next_command,
        };
        self.clients.insert(self.next_client, client);
        self.next_client += 1;
    }

    /// Queues the answer to a command, unless its client is gone.
    pub(super) fn reply(&mut self, id: CommandId, text: &str) {
        let Some(name) = self.asked.remove(&id) else {
            return;
        };
        if let Some(client) = self.clients.get_mut(&name) {
            client.output.extend_from_slice(text.as_bytes());
            client.output.push(b'\n');
            client.is_open = false;
            client.turn = self.next_command;
            if !client.write() || client.is_done() {
                self.clients.remove(&name);
            }
        }
    }
}

impl Drop for LineSocket {
    fn drop(&mut self) {
        // Not necessary: the next start replaces a stale socket.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Client {
    /// Whether to read: the last command is answered, the answer written, and no complete line is buffered.
    fn takes_more(&self) -> bool {
        !self.ended && !self.is_open && self.output.is_empty() && self.line_end.is_none()
    }

    /// Whether a complete line is buffered and may be taken.
    fn has_next(&self) -> bool {
        !self.is_open && self.output.is_empty() && self.line_end.is_some()
    }

    /// Whether the client can be closed.
    fn is_done(&self) -> bool {
        self.ended && !self.is_open && self.output.is_empty() && self.line_end.is_none()
    }

    /// Reads what has arrived, up to a complete line; false if the connection failed.
    fn read(&mut self, line_bytes_max: usize) -> bool {
        let mut chunk = [0; 4096];
        while self.takes_more() && self.input.len() <= line_bytes_max {
            match self.stream.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(bytes) => {
                    // Only what is new is searched: a line may be long.
                    let end = line_end(&chunk[..bytes]);
                    self.line_end = end.map(|end| self.input.len() + end);
                    self.input.extend_from_slice(&chunk[..bytes]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// The next complete line without its line end. Invalid UTF-8 is replaced, so the line matches no command.
    fn take_line(&mut self) -> Option<String> {
        let end = self.line_end.take()?;
        let rest = self.input.split_off(end + 1);
        self.line_end = line_end(&rest);
        let mut line = std::mem::replace(&mut self.input, rest);
        line.truncate(end);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// Answers with the memory of the statistics; false if the connection failed. Nothing else waits to be written.
    fn hand_over(&mut self, statistics: Option<&OwnedFd>) -> bool {
        let Some(memory) = statistics else {
            self.output
                .extend_from_slice(b"error this process has no memory that others can map\n");
            return self.write();
        };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let descriptors = [memory.as_fd()];
        let fits = rights.push(SendAncillaryMessage::ScmRights(&descriptors));
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = sendmsg(
            &self.stream,
            &[IoSlice::new(HANDED_OVER)],
            &mut rights,
            flags,
        );
        fits && sent == Ok(HANDED_OVER.len())
    }

    /// Writes what the socket takes; false if the connection failed.
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

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte == b'\n')
}

#[cfg(test)]
mod tests;
