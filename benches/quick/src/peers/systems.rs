//! The systems, one line of a table each: what runs, and what its acknowledgement means. It starts and stops a system with all that
//! belongs to it; it measures nothing.

use std::io;

use flk_bench_load::cpu::Affinity;
use flk_dataplane::driver::probe::{Requested, choose};

use super::stores::{Backing, Store};
use crate::options::Options;
use crate::server::{Server, WalDir};
use crate::start;

/// How an acknowledgement compares with the gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// It is the gateway's.
    Gateway,
    /// It is the gateway's, too: the same shard under another driver.
    OwnShard,
    /// What is acknowledged is synced, too.
    Synced,
    /// What is acknowledged can be lost with the machine.
    Weaker,
    /// Nothing is kept.
    Nothing,
}

/// A system.
pub(super) struct System {
    pub(super) name: &'static str,
    /// What an acknowledgement means.
    pub(super) means: &'static str,
    pub(super) promise: Promise,
    /// `--store` of the peer, or the driver of the ablation; the gateway has none.
    kind: &'static str,
    backing: Backing,
}

const fn system(
    name: &'static str,
    promise: Promise,
    kind: &'static str,
    backing: Backing,
    means: &'static str,
) -> System {
    System {
        name,
        means,
        promise,
        kind,
        backing,
    }
}

/// All of them, in the order in which they are measured.
#[rustfmt::skip]
pub(super) static SYSTEMS: [System; 12] = [
    system("flk", Promise::Gateway, "", Backing::None, "body and outcome synced; the id known for 14 days"),
    system("hyper, file, sync per request", Promise::Synced, "file", Backing::Directory, "the record synced; ids in memory, for ever"),
    system("hyper, file, shared sync", Promise::Synced, "file-group", Backing::Directory, "the record synced; ids in memory, for ever"),
    system("hyper, file, no sync", Promise::Weaker, "file-nosync", Backing::Directory, "handed to the kernel: some 30 s are lost with the machine"),
    system("hyper, PostgreSQL, single insert", Promise::Synced, "postgres", Backing::Postgres, "committed and synced; the id known for ever"),
    system("hyper, PostgreSQL, group insert", Promise::Synced, "postgres-group", Backing::Postgres, "committed and synced; the id known for ever"),
    system("hyper, PostgreSQL, asynchronous commit", Promise::Weaker, "postgres-async", Backing::Postgres, "committed in memory: 0.6 s are lost with the server"),
    system("hyper, Redis, sync always", Promise::Synced, "redis", Backing::Redis("always"), "in the append-only file, synced; all of it in memory"),
    system("hyper, Redis, sync every second", Promise::Weaker, "redis", Backing::Redis("everysec"), "in memory: 1 to 2 s are lost with the machine"),
    system("hyper, NATS JetStream, sync always", Promise::Synced, "nats", Backing::Nats("always"), "in the stream, synced; the id known for 2 minutes"),
    system("hyper, NATS JetStream, default", Promise::Weaker, "nats", Backing::Nats("2m"), "handed to the kernel: 2 minutes are lost with the machine"),
    system("hyper, memory", Promise::Nothing, "memory", Backing::None, "nothing: what HTTP, JSON, signature and verdict alone take"),
];

/// The gateway's shard under its own drivers and under executors, by one program, in the order in which they are measured. The others
/// are held against the first.
#[rustfmt::skip]
pub(super) static ABLATION: [System; 4] = [
    system("raw io_uring, the gateway's driver", Promise::OwnShard, "uring", Backing::None, ""),
    system("epoll and a flush thread, the gateway's portable driver", Promise::OwnShard, "portable", Backing::None, ""),
    system("compio 0.19", Promise::OwnShard, "compio", Backing::None, ""),
    system("glommio 0.9", Promise::OwnShard, "glommio", Backing::None, ""),
];

/// A running system. The server ends before what keeps its records.
pub(super) struct Running {
    pub(super) server: Server,
    pub(super) kept: Kept,
}

/// What keeps the records of a server, and outlives it.
pub(super) enum Kept {
    /// The server itself: they go with it.
    Nowhere,
    Store(Store),
    Log(WalDir),
}

impl Kept {
    pub(super) fn store(&self) -> Option<&Store> {
        match self {
            Self::Store(store) => Some(store),
            Self::Nowhere | Self::Log(_) => None,
        }
    }
}

impl System {
    /// What is missing on this machine, if anything is.
    pub(super) fn lacks(&self) -> Option<String> {
        if self.promise == Promise::OwnShard && self.kind != "portable" {
            return choose(Requested::Uring).err().map(|it| it.to_string());
        }
        self.backing.lacks()
    }

    /// Whether its records are kept by a program that one can install, not by a file log of its own.
    pub(super) fn has_store_of_others(&self) -> bool {
        !matches!(self.backing, Backing::None | Backing::Directory)
    }

    /// Starts it with an empty store. The server gets its CPU, the store all that are allowed.
    pub(super) fn start(&self, options: &Options, allowed: &Affinity) -> io::Result<Running> {
        let kept = match self.promise {
            Promise::Gateway => {
                let binary = options.binary("flk-dataplane")?;
                let server = start(|| Server::gateway(&binary, &options.work_dir))?;
                let kept = Kept::Nowhere;
                return Ok(Running { server, kept });
            }
            Promise::OwnShard => Kept::Log(WalDir::make(&options.work_dir, "wal")?),
            Promise::Synced | Promise::Weaker | Promise::Nothing => {
                allowed.apply()?;
                let store = Store::start(self.backing, &options.work_dir)?;
                store.map_or(Kept::Nowhere, Kept::Store)
            }
        };
        self.serve(options, kept)
    }

    /// Starts both again after they were killed.
    pub(super) fn start_again(
        &self,
        options: &Options,
        allowed: &Affinity,
        mut kept: Kept,
    ) -> io::Result<Running> {
        allowed.apply()?;
        if let Kept::Store(store) = &mut kept {
            store.start_again()?;
        }
        self.serve(options, kept)
    }

    /// The server on what is kept already.
    fn serve(&self, options: &Options, kept: Kept) -> io::Result<Running> {
        let server = match &kept {
            Kept::Log(log) => {
                let binary = options.binary("flk-ablation")?;
                start(|| Server::ablation(log, &binary, &options.work_dir, self.kind))?
            }
            Kept::Store(_) | Kept::Nowhere => {
                let (binary, store) = (options.binary("flk-peer")?, kept.store());
                let mut arguments = vec!["--store", self.kind];
                if let Some(store) = store {
                    arguments.extend(["--at", store.at()]);
                }
                start(|| Server::peer(&binary, &arguments, store.and_then(Store::id)))?
            }
        };
        Ok(Running { server, kept })
    }
}

impl Running {
    /// Asks both to stop.
    pub(super) fn stop(self) {
        self.server.stop();
        if let Kept::Store(store) = self.kept {
            store.stop();
        }
    }

    /// Kills both at once; what was written remains.
    pub(super) fn kill(self) -> Kept {
        self.server.running.kill();
        let mut kept = self.kept;
        if let Kept::Store(store) = &mut kept {
            store.kill();
        }
        kept
    }
}
