//! The keeper's border: what happens to it ([`KeeperEvent`]), what it asks for ([`KeeperOp`]), and the [`Port`] through
//! which its flows await one file operation or one event. Nothing here does IO, reads a clock or decides anything.

use crate::io::{Errno, FileId, Now, ShardId};
use crate::keeper::notice::Notice;
use crate::mesh::keeper::{ToKeeper, ToShard};
use flk_contract::params::ParamsVersion;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// How a file is opened. Always for reading; for writing too unless `write` is false. Names are plain file names inside
/// WAL_DIR (no slash), which exists (mode 0700) before the keeper's first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenHow {
    /// Open for writing too.
    pub write: bool,
    /// Make the file if it is not there.
    pub create: bool,
    /// With `create`: fail with `EEXIST` if it is there.
    pub exclusive: bool,
    /// Bypass the page cache (`O_DIRECT`): every offset and length is then a multiple of 4,096. The executor aligns the
    /// memory. Log segments are opened one way for all their life.
    pub direct: bool,
    /// Completed writes are durable (`O_DSYNC`).
    pub dsync: bool,
    /// Permission bits of a file that is made.
    pub mode: u32,
}

/// One file operation. At most one is outstanding, and it is answered by one [`FileResult`] of the kind named here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileOp {
    /// Names of all directory entries of WAL_DIR but `.` and `..`, in any order → [`FileValue::Names`].
    List,
    /// Open a file → [`FileValue::Opened`].
    Open {
        /// Name in WAL_DIR.
        name: String,
        /// How.
        how: OpenHow,
    },
    /// Close a file; its locks go with it → [`FileValue::Done`].
    Close(FileId),
    /// Read up to `bytes` → [`FileValue::Bytes`], shorter only where the file ends.
    Read {
        /// The file.
        file: FileId,
        /// Byte offset.
        offset: u64,
        /// How many bytes, at most 1 MiB.
        bytes: u32,
    },
    /// One write → [`FileValue::Written`], as many bytes as the kernel took (the keeper judges a short write).
    Write {
        /// The file.
        file: FileId,
        /// Byte offset.
        offset: u64,
        /// What to write, at most 1 MiB.
        bytes: Vec<u8>,
    },
    /// One write of zeros → [`FileValue::Written`]. Apart from [`FileOp::Write`] so that the zeros of every new segment need
    /// not be made, moved and thrown away again.
    Zero {
        /// The file.
        file: FileId,
        /// Byte offset.
        offset: u64,
        /// How many, at most 1 MiB.
        bytes: u32,
    },
    /// Set the length of a file → [`FileValue::Done`].
    Truncate(FileId, u64),
    /// Make a file's bytes and length durable (`fsync`) → [`FileValue::Done`].
    Sync(FileId),
    /// Make names made, renamed and removed in WAL_DIR durable → [`FileValue::Done`].
    SyncDir,
    /// Rename within WAL_DIR, replacing `to` → [`FileValue::Done`].
    Rename {
        /// Name now.
        from: String,
        /// Name then.
        to: String,
    },
    /// Remove a name → [`FileValue::Done`].
    Unlink(String),
    /// Length in bytes → [`FileValue::Number`].
    Len(FileId),
    /// Number of hard links → [`FileValue::Number`].
    Links(FileId),
    /// Take the exclusive open-file-description lock at once → [`FileValue::Done`], or `EAGAIN` when another holds one.
    LockExclusive(FileId),
    /// Take the shared open-file-description lock at once → [`FileValue::Done`], or `EAGAIN`.
    LockShared(FileId),
    /// Drop the lock → [`FileValue::Done`].
    Unlock(FileId),
    /// The file system of WAL_DIR → [`FileValue::Space`].
    Space,
    /// That many random bytes fit for secrets → [`FileValue::Bytes`].
    Random(u32),
}

impl FileOp {
    /// The same operation, with its zeros as bytes: for executors that treat all writes alike.
    pub fn spelled_out(self) -> FileOp {
        match self {
            FileOp::Zero {
                file,
                offset,
                bytes,
            } => FileOp::Write {
                file,
                offset,
                bytes: vec![0; bytes as usize],
            },
            other => other,
        }
    }
}

/// What a file operation gives when it succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileValue {
    /// It is done.
    Done,
    /// Directory entries.
    Names(Vec<String>),
    /// The file is open.
    Opened(FileId),
    /// Bytes read or drawn.
    Bytes(Vec<u8>),
    /// That many bytes were written.
    Written(u32),
    /// A length or a count.
    Number(u64),
    /// Size of the file system.
    Space {
        /// All of it, in bytes.
        total_bytes: u64,
        /// What this process may still fill, in bytes.
        free_bytes: u64,
    },
}

/// The end of the one outstanding file operation.
pub type FileResult = Result<FileValue, Errno>;

/// Names a command from `keeper.sock`, so that the reply finds its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(pub u64);

/// One thing that happened to the keeper.
#[derive(Debug)]
pub enum KeeperEvent {
    /// The outstanding file operation ended.
    FileDone(FileResult),
    /// A message of a shard.
    FromShard(ShardId, ToKeeper),
    /// One line arrived on `keeper.sock`, without its line end.
    Command {
        /// Goes back with the reply.
        id: CommandId,
        /// The line.
        line: String,
    },
    /// These parameter sets are to get numbers, for the next [`ToShard::Configure`] judges under them. The answer is `asked`
    /// in [`crate::stats::KeeperStats::params_known`], once each shard's mailbox has [`ToShard::Params`].
    Params {
        /// Above that of any question before.
        asked: u64,
        /// The versions; known ones keep their numbers.
        versions: Vec<ParamsVersion>,
    },
    /// The process was asked to end gracefully (SIGTERM), `FLK_DRAIN_DELAY` having passed.
    Terminate,
    /// The time asked for by [`KeeperOp::Wake`] has come. One too many does no harm.
    Tick,
}

/// One thing the keeper asks for. Operations are carried out in order.
#[derive(Debug)]
pub enum KeeperOp {
    /// Start a file operation; none is outstanding.
    File(FileOp),
    /// Send a message to a shard. Never fails, never waits.
    ToShard(ShardId, ToShard),
    /// Answer a command with one line (no line end in it).
    Reply {
        /// The command.
        id: CommandId,
        /// The answer.
        text: String,
    },
    /// A line for the operator.
    Notify(Notice),
    /// Step again with [`KeeperEvent::Tick`] at this monotonic time in microseconds; replaces the time asked for before.
    Wake(u64),
    /// End the process. Nothing after it is carried out.
    Exit {
        /// Exit code: one of [`Exit`](crate::exit::Exit).
        code: i32,
        /// One sentence for the operator: what happened and what to do.
        reason: String,
    },
}

/// What one step asks for, in order.
pub type KeeperOps = Vec<KeeperOp>;

#[derive(Default)]
struct State {
    /// By when a stop that was asked for ends, in microseconds.
    stop_by_us: Option<u64>,
    now: Now,
    events: VecDeque<KeeperEvent>,
    answer: Option<FileResult>,
    outstanding: bool,
    ops: KeeperOps,
}

/// The flows' side of the border. Clones are the same port; it stays on one thread.
#[derive(Clone, Default)]
pub struct Port {
    state: Rc<RefCell<State>>,
}

impl Port {
    /// The clocks of the current step.
    pub fn now(&self) -> Now {
        self.state.borrow().now
    }

    /// By when a stop that was asked for ends. It counts from the moment the process was asked, even if a file operation was
    /// under way then.
    pub fn stop_by_us(&self) -> Option<u64> {
        self.state.borrow().stop_by_us
    }

    /// Once a stop was asked for: it ends by then.
    pub(super) fn set_stop_by_us(&self, by_us: Option<u64>) {
        self.state.borrow_mut().stop_by_us = by_us;
    }

    /// Asks for something that is not a file operation.
    pub fn put(&self, op: KeeperOp) {
        self.state.borrow_mut().ops.push(op);
    }

    /// Notifies the operator.
    pub fn notify(&self, notice: Notice) {
        self.put(KeeperOp::Notify(notice));
    }

    /// Sends a message to a shard.
    pub fn send(&self, shard: ShardId, message: ToShard) {
        self.put(KeeperOp::ToShard(shard, message));
    }

    /// The oldest event not yet taken, if there is one.
    pub fn try_event(&self) -> Option<KeeperEvent> {
        self.state.borrow_mut().events.pop_front()
    }

    /// Waits for an event.
    pub fn event(&self) -> impl Future<Output = KeeperEvent> + use<> {
        let port = self.clone();
        std::future::poll_fn(move |_| match port.try_event() {
            Some(event) => Poll::Ready(event),
            None => Poll::Pending,
        })
    }

    /// Puts one file operation and waits for its end.
    pub fn file(&self, op: FileOp) -> impl Future<Output = FileResult> + use<> {
        FileCall {
            port: self.clone(),
            op: Some(op),
        }
    }

    /// The step begins: events and clocks come in.
    pub(crate) fn deliver(&self, events: impl Iterator<Item = KeeperEvent>, now: Now) {
        let mut state = self.state.borrow_mut();
        state.now = now;
        for event in events {
            match event {
                KeeperEvent::FileDone(result) => {
                    assert!(
                        state.outstanding && state.answer.is_none(),
                        "a file operation ended that was not outstanding"
                    );
                    state.answer = Some(result);
                }
                other => state.events.push_back(other),
            }
        }
    }

    /// Whether a file operation is under way.
    pub(crate) fn is_waiting_for_a_file(&self) -> bool {
        self.state.borrow().outstanding
    }

    /// The step ends: operations go out.
    pub(crate) fn drain(&self) -> KeeperOps {
        std::mem::take(&mut self.state.borrow_mut().ops)
    }
}

/// One file operation under way.
struct FileCall {
    port: Port,
    op: Option<FileOp>,
}

impl Future for FileCall {
    type Output = FileResult;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<FileResult> {
        let op = self.op.take();
        let mut state = self.port.state.borrow_mut();
        if let Some(op) = op {
            assert!(!state.outstanding, "one file operation at a time");
            state.outstanding = true;
            state.ops.push(KeeperOp::File(op));
            return Poll::Pending;
        }
        match state.answer.take() {
            Some(result) => {
                state.outstanding = false;
                Poll::Ready(result)
            }
            None => Poll::Pending,
        }
    }
}
