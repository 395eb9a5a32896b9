//! Where records are kept, behind one function: it returns when the store has acknowledged a record, and says whether its id was
//! there before. What an acknowledgement promises is the store's affair.

mod file;
mod nats;
mod postgres;
mod redis;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// A record to be kept.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: [u8; 32],
    pub(crate) body: Bytes,
}

/// Whether an id is new to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    New,
    Before,
}

/// What a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    File,
    FileNoSync,
    FileGroup,
    Postgres,
    PostgresGroup,
    PostgresAsync,
    Redis,
    Nats,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Memory,
        Self::File,
        Self::FileNoSync,
        Self::FileGroup,
        Self::Postgres,
        Self::PostgresGroup,
        Self::PostgresAsync,
        Self::Redis,
        Self::Nats,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::File => "file",
            Self::FileNoSync => "file-nosync",
            Self::FileGroup => "file-group",
            Self::Postgres => "postgres",
            Self::PostgresGroup => "postgres-group",
            Self::PostgresAsync => "postgres-async",
            Self::Redis => "redis",
            Self::Nats => "nats",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An open store.
pub(crate) enum Store {
    /// Ids alone; nothing is kept.
    Memory(Mutex<HashSet<[u8; 32]>>),
    File(file::Single),
    FileGroup(file::Group),
    Postgres(postgres::Single),
    PostgresGroup(postgres::Group),
    Redis(redis::Redis),
    Nats(nats::Nats),
}

impl Store {
    /// Opens a store, and makes in it what is not there yet.
    pub(crate) async fn open(kind: Kind, at: &str) -> io::Result<Self> {
        Ok(match kind {
            Kind::Memory => Self::Memory(Mutex::default()),
            Kind::File => Self::File(file::Single::open(Path::new(at), file::Sync::Each)?),
            Kind::FileNoSync => Self::File(file::Single::open(Path::new(at), file::Sync::Never)?),
            Kind::FileGroup => Self::FileGroup(file::Group::open(Path::new(at))?),
            Kind::Postgres => {
                Self::Postgres(postgres::Single::open(at, postgres::Commit::Synced).await?)
            }
            Kind::PostgresAsync => {
                Self::Postgres(postgres::Single::open(at, postgres::Commit::Async).await?)
            }
            Kind::PostgresGroup => Self::PostgresGroup(postgres::Group::open(at).await?),
            Kind::Redis => Self::Redis(redis::Redis::open(at).await?),
            Kind::Nats => Self::Nats(nats::Nats::open(at).await?),
        })
    }

    /// Returns when the store has acknowledged the record.
    pub(crate) async fn put(&self, record: Record) -> io::Result<Seen> {
        match self {
            Self::Memory(ids) => {
                let mut ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(seen(ids.insert(record.id)))
            }
            Self::File(store) => store.put(record).await,
            Self::FileGroup(store) => store.put(record).await,
            Self::Postgres(store) => store.put(record).await,
            Self::PostgresGroup(store) => store.put(record).await,
            Self::Redis(store) => store.put(record).await,
            Self::Nats(store) => store.put(record).await,
        }
    }
}

fn seen(is_new: bool) -> Seen {
    match is_new {
        true => Seen::New,
        false => Seen::Before,
    }
}
