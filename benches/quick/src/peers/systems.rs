//! The systems, one line of a table each: what runs, and what its acknowledgement means. It starts and stops a system with all that
//! belongs to it; it measures nothing.

use std::io;
use std::path::Path;

use flk_bench_load::cpu::Affinity;

use super::stores::{Backing, Store};
use crate::options::Options;
use crate::server::Server;
use crate::start;

/// How an acknowledgement compares with the gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// It is the gateway's.
    Gateway,
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
    /// `--store` of the peer; the gateway has none.
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

/// A running system. The server ends before its store.
pub(super) struct Running {
    pub(super) server: Server,
    pub(super) store: Option<Store>,
}

impl System {
    /// What is missing on this machine, if anything is.
    pub(super) fn lacks(&self) -> Option<String> {
        self.backing.lacks()
    }

    /// Whether its records are kept by a program that one can install, not by a file log of its own.
    pub(super) fn has_store_of_others(&self) -> bool {
        !matches!(self.backing, Backing::None | Backing::Directory)
    }

    /// Starts it with an empty store. The server gets its CPU, the store all that are allowed.
    pub(super) fn start(&self, options: &Options, allowed: &Affinity) -> io::Result<Running> {
        if self.promise == Promise::Gateway {
            let binary = options.binary("flk-dataplane")?;
            let server = start(|| Server::gateway(&binary, &options.work_dir))?;
            let store = None;
            return Ok(Running { server, store });
        }
        allowed.apply()?;
        let store = Store::start(self.backing, &options.work_dir)?;
        let server = self.serve(&options.binary("flk-peer")?, store.as_ref())?;
        Ok(Running { server, store })
    }

    /// Starts both again after they were killed.
    pub(super) fn start_again(
        &self,
        options: &Options,
        allowed: &Affinity,
        mut store: Option<Store>,
    ) -> io::Result<Running> {
        allowed.apply()?;
        if let Some(store) = &mut store {
            store.start_again()?;
        }
        let server = self.serve(&options.binary("flk-peer")?, store.as_ref())?;
        Ok(Running { server, store })
    }

    fn serve(&self, binary: &Path, store: Option<&Store>) -> io::Result<Server> {
        let mut arguments = vec!["--store", self.kind];
        if let Some(store) = store {
            arguments.extend(["--at", store.at()]);
        }
        start(|| Server::peer(binary, &arguments, store.and_then(Store::id)))
    }
}

impl Running {
    /// Asks both to stop.
    pub(super) fn stop(self) {
        self.server.stop();
        if let Some(store) = self.store {
            store.stop();
        }
    }

    /// Kills both at once; what the store wrote remains.
    pub(super) fn kill(self) -> Option<Store> {
        self.server.running.kill();
        let mut store = self.store?;
        store.kill();
        Some(store)
    }
}
