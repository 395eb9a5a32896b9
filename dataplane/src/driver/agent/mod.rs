//! The configuration agent: a thread that takes snapshots from `control.sock`, stores each durably and hands it to all
//! shards. It applies a snapshot everywhere or nowhere and decides nothing about records; shards never wait for it.

mod params;
pub mod protocol;
pub mod start;
pub mod store;

use super::console::Console;
use super::doorbell::Doorbell;
use super::line_socket::LineSocket;
use super::links::{KeeperMail, ShardMail};
use super::{DriverError, clock};
use crate::io::ShardId;
use crate::keeper::port::KeeperEvent;
use crate::logs::events::{AgentFailed, SnapshotInForce, SnapshotNotReduced};
use crate::mesh::keeper::ToShard;
use crate::snapshot::Source;
use crate::snapshot::{Digest, Document, Fault, MissingKeys, Resolver, Snapshot, SourceFault};
use crate::stats::Stats;
use crate::wal::files::CONTROL_SOCKET;
use flk_contract::params::ParamsVersion;
use params::BoundParams;
use protocol::{Ask, Code, InForce, KeptNumber, Question, Reply, ShardNumber, Status};
use rustix::event::{PollFd, PollFlags, poll};
use start::Start;
use std::fmt::Write as _;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use store::SnapshotStore;
use zeroize::Zeroizing;

/// A question is shorter than this: a document of the most tenants and keys fits.
const LINE_BYTES_MAX: usize = 32 << 20;
/// Shards run a snapshot within this time, or the publisher learns which do not.
const SHARDS_WAIT_US: u64 = 5_000_000;
/// Time between two looks at the numbers that shards run.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Reads the text behind a source.
pub type ReadSecret = Box<dyn Fn(&Source) -> Result<Zeroizing<String>, SourceFault>>;
/// Makes such a reader for one snapshot: a file that holds several keys is opened once for it.
pub type SecretReader = Box<dyn Fn() -> ReadSecret + Send>;

/// What the agent needs of the process.
pub(super) struct AgentSetup {
    pub start: Start,
    pub mail: ShardMail,
    pub keeper: KeeperMail,
    pub stats: Arc<Stats>,
    pub console: Console,
    /// Set when recovery has read it.
    pub installation: Arc<OnceLock<[u8; 16]>>,
}

/// The thread, and how to end it.
pub(super) struct AgentThread {
    bell: Arc<Doorbell>,
    thread: JoinHandle<()>,
}

impl AgentThread {
    /// Starts it. The caller holds the lock of WAL_DIR.
    pub(super) fn start(
        setup: AgentSetup,
        wal_dir: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<AgentThread, DriverError> {
        let socket = LineSocket::listen(wal_dir, path, CONTROL_SOCKET, LINE_BYTES_MAX)?;
        let bell = Arc::new(Doorbell::new()?);
        let ending = Arc::clone(&bell);
        let mut agent = Agent::new(setup, Arc::clone(&bell));
        let thread = std::thread::Builder::new()
            .name("flk-config".to_owned())
            .spawn(move || agent.run(socket, &ending))
            .map_err(|error| DriverError::new("start the configuration thread", error))?;
        Ok(AgentThread { bell, thread })
    }

    /// Ends it; its socket is removed.
    pub(super) fn end(self) {
        self.bell.tell_to_end();
        // In a release build a panic has aborted the process already.
        let _ = self.thread.join();
    }
}

/// What it has between two questions.
struct Agent {
    store: SnapshotStore,
    resolver: Resolver,
    read_secret: SecretReader,
    mail: ShardMail,
    keeper: KeeperMail,
    bound: BoundParams,
    /// Questions to the keeper so far.
    asked: u64,
    /// Parameter sets that have numbers.
    numbered: Vec<ParamsVersion>,
    stats: Arc<Stats>,
    console: Console,
    installation: Arc<OnceLock<[u8; 16]>>,
    /// Tells that the process ends: shards and keeper answer nothing any more.
    ending: Arc<Doorbell>,
    /// The document in force.
    in_force: Document,
    digest: Digest,
    since_s: u64,
    /// The document of the start, number 0.
    environment: Document,
    closed: Vec<String>,
    last_number: u32,
}

impl Agent {
    fn new(setup: AgentSetup, ending: Arc<Doorbell>) -> Agent {
        let Start {
            store,
            resolver,
            read_secret,
            bound,
            in_force,
            environment,
            closed,
            since_s,
            snapshot,
            left_out: _,
        } = setup.start;
        let last_number = store.last_number();
        let agent = Agent {
            digest: in_force.digest(),
            store,
            resolver,
            read_secret,
            mail: setup.mail,
            keeper: setup.keeper,
            bound,
            asked: 0,
            numbered: snapshot.versions(),
            stats: setup.stats,
            console: setup.console,
            installation: setup.installation,
            ending,
            in_force,
            since_s,
            environment,
            closed,
            last_number,
        };
        agent.show();
        agent
    }

    /// Shows in the statistics what is in force.
    fn show(&self) {
        let page = &self.stats.keeper;
        page.snapshot.set(u64::from(self.in_force.number));
        // The time of a file may be anything.
        let since_us = self.since_s.saturating_mul(1_000_000);
        page.snapshot_since_us.set(since_us);
        page.tenants_closed.set(self.closed.len() as u64);
    }

    fn run(&mut self, mut socket: LineSocket, bell: &Doorbell) {
        let mut lines = Vec::new();
        while !bell.is_asked_to_end() {
            let now_us = clock::now().mono_us;
            let wait_us = socket.wake_at_us(now_us).saturating_sub(now_us);
            let wait_us = wait_us.min(60_000_000);
            let wait = clock::timespec(wait_us);
            let mut polled = vec![PollFd::from_borrowed_fd(bell.eventfd(), PollFlags::IN)];
            let clients = socket.polled(now_us);
            polled.extend(clients.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
            // The bell rings for those that said that they sleep, and for no other.
            if !bell.may_sleep(|| true) {
                return;
            }
            let polling = poll(&mut polled, Some(&wait));
            bell.woke_up();
            match polling {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    let why = format!("no further configuration is taken: poll: {error}");
                    let error = error.to_string();
                    self.console.say(AgentFailed { error }, why);
                    return;
                }
            }
            drop(polled);
            socket.work(clock::now().mono_us, &mut lines);
            for (id, line) in lines.drain(..) {
                let reply = self.answer(&line);
                socket.reply(id, &reply.line());
            }
        }
    }

    fn answer(&mut self, line: &str) -> Reply {
        match Question::read(line) {
            Err(refused) => refused,
            Ok(Ask::Status) => Reply::Status(Box::new(self.status())),
            Ok(Ask::Document { number }) => self.document(number),
            Ok(Ask::Check { document }) => match self.check(&document) {
                Ok(_nothing_is_kept) => Reply::Checked(true),
                Err(refused) => refused,
            },
            Ok(Ask::Publish { digest, document }) => self.publish(&digest, *document),
        }
    }

    fn status(&self) -> Status {
        let numbers = self.stats.shards.iter().map(|page| page.snapshot.get());
        let mut installation = String::new();
        for byte in self.installation.get().into_iter().flatten() {
            let _ = write!(installation, "{byte:02x}");
        }
        Status {
            installation,
            in_force: InForce {
                number: self.in_force.number,
                digest: self.digest.to_string(),
                content: self.in_force.content_digest().to_string(),
                since_s: self.since_s,
            },
            shards: (0..)
                .zip(numbers)
                .map(|(shard, number)| ShardNumber {
                    shard,
                    number: number as u32,
                })
                .collect(),
            kept: self
                .store
                .kept()
                .iter()
                .map(|kept| KeptNumber {
                    number: kept.number,
                    digest: kept.digest.to_string(),
                    stored_s: kept.stored_s,
                })
                .collect(),
            closed: self.closed.clone(),
            last_number: self.last_number,
        }
    }

    fn document(&self, number: u32) -> Reply {
        if number == 0 {
            return Reply::Document(Box::new(self.environment.clone()));
        }
        match self.store.read(number) {
            Ok(Some(document)) => Reply::Document(Box::new(document)),
            Ok(None) => Reply::Refused {
                code: Code::NotKept,
                reason: format!(
                    "snapshot {number} is not kept; the last {} are",
                    store::KEPT_COUNT
                ),
            },
            Err(error) => storage(&error),
        }
    }

    /// What a document comes to, if nothing is wrong with it, and the numbers of tenants with those that it adds.
    fn check(&self, document: &Document) -> Result<(Snapshot, Resolver), Reply> {
        let mut resolver = self.resolver.clone();
        let resolved = resolver.resolve(document, &(self.read_secret)(), MissingKeys::Refuse);
        let (snapshot, _) = resolved.map_err(|fault| Reply::refused(&fault))?;
        let now_s = clock::now().wall_us / 1_000_000;
        let judged = document.judges_at(now_s);
        judged.map_err(|fault| Reply::refused(&fault))?;
        match self.bound.refusal(document) {
            Some(reason) => Err(Reply::Refused {
                code: Code::Params,
                reason,
            }),
            None => Ok((snapshot, resolver)),
        }
    }

    fn publish(&mut self, said: &str, document: Document) -> Reply {
        let found = document.digest();
        let said = match Digest::from_hex(said) {
            Some(said) if said == found => found,
            said => {
                let said = said.unwrap_or(Digest([0; 32]));
                return Reply::refused(&Fault::Digest { said, found });
            }
        };
        if document.number == self.in_force.number && said == self.digest {
            return self.applied();
        }
        let last = self.last_number.max(self.in_force.number);
        if document.number <= last {
            return Reply::refused(&Fault::NumberUsed {
                given: document.number,
                in_force: last,
            });
        }
        let (snapshot, resolver) = match self.check(&document) {
            Ok(checked) => checked,
            Err(refused) => return refused,
        };
        if let Err(refused) = self.number_params(&snapshot) {
            return refused;
        }
        // Durable before a shard runs it: a body names the number that judged it.
        if let Err(error) = self.store.add(&document) {
            return storage(&error);
        }
        self.resolver = resolver;
        self.put_in_force(document, Arc::new(snapshot));
        for error in self.store.reduce_old() {
            let error = error.to_string();
            let message = format!("an old snapshot stays whole: {error}");
            self.console.say(SnapshotNotReduced { error }, message);
        }
        self.applied()
    }

    /// Has the keeper give numbers to the parameter sets of a snapshot: a decision names its set by one. Where all have one,
    /// the keeper is not asked, for it may be in the middle of long work, and a revoked key must not wait for that.
    fn number_params(&mut self, snapshot: &Snapshot) -> Result<(), Reply> {
        let mut versions = snapshot.versions();
        versions.retain(|version| !self.numbered.contains(version));
        if versions.is_empty() {
            return Ok(());
        }
        self.asked += 1;
        let asked = self.asked;
        self.keeper.send(KeeperEvent::Params {
            asked,
            versions: versions.clone(),
        });
        let page = &self.stats.keeper;
        if !comes_true(&self.ending, || page.params_known.get() >= asked) {
            return Err(Reply::Refused {
                code: Code::Params,
                reason: "the parameter sets have no numbers after 5 s: the start is not over, there are too many sets, or the keeper is busy; publish again".to_owned(),
            });
        }
        self.numbered.extend(versions);
        Ok(())
    }

    fn put_in_force(&mut self, document: Document, snapshot: Arc<Snapshot>) {
        self.last_number = document.number;
        self.digest = snapshot.digest;
        self.bound.bind_all(&document);
        self.in_force = document;
        self.closed.clear();
        self.since_s = clock::now().wall_us / 1_000_000;
        self.show();
        for shard in 0..self.stats.shards.len() as u16 {
            let message = ToShard::Configure(Arc::clone(&snapshot));
            self.mail.send(ShardId(shard), message);
        }
        let (snapshot, mut digest) = (self.in_force.number, self.digest.to_string());
        digest.truncate(12);
        let message = format!("configuration snapshot {snapshot} ({digest}) is in force");
        self.console
            .say(SnapshotInForce { snapshot, digest }, message);
    }

    /// Waits until every shard runs what is in force.
    fn applied(&self) -> Reply {
        let number = self.in_force.number;
        let silent = || {
            let pages = (0..).zip(self.stats.shards.iter());
            let behind = pages.filter(|(_, page)| page.snapshot.get() != u64::from(number));
            behind.map(|(shard, _): (u16, _)| shard).collect::<Vec<_>>()
        };
        comes_true(&self.ending, || silent().is_empty());
        let left = silent();
        match left.is_empty() {
            true => Reply::Applied {
                number,
                digest: self.digest.to_string(),
            },
            false => Reply::Refused {
                code: Code::ShardsSilent,
                reason: format!(
                    "snapshot {number} is stored and sent, and shards {left:?} do not run it after 5 s, or the process ends; they do with their next turn"
                ),
            },
        }
    }
}

/// Waits until something is true, at most as long as shards are waited for and the process does not end. Whether it is.
fn comes_true(ending: &Doorbell, mut is_true: impl FnMut() -> bool) -> bool {
    let until_us = clock::now().mono_us + SHARDS_WAIT_US;
    loop {
        match is_true() {
            true => return true,
            false if ending.is_asked_to_end() || clock::now().mono_us >= until_us => return false,
            false => std::thread::sleep(LOOK_EVERY),
        }
    }
}

fn storage(error: &store::StoreError) -> Reply {
    Reply::Refused {
        code: Code::Storage,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
