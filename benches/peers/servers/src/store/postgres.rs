//! PostgreSQL: one table, its primary key finds duplicates. Single statements on several connections, which the server commits
//! together where they meet, or one statement for all requests that wait. It repeats nothing.

use std::collections::HashSet;
use std::io;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::{Client, Config, NoTls, Statement};

use super::{Record, Seen, seen};
use crate::batcher::Batcher;

/// Connections of single statements; each has a process of the server.
const CONNECTIONS_COUNT: usize = 32;
/// Groups that are committed at a time, each on a connection of its own.
const GROUPS_COUNT: usize = 2;
/// Records of a statement.
const BATCH_MAX: usize = 256;

const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS records (pcs_id bytea PRIMARY KEY, body bytea NOT NULL)";
const INSERT: &str = "INSERT INTO records VALUES ($1, $2) ON CONFLICT (pcs_id) DO NOTHING";
const INSERT_ALL: &str = "INSERT INTO records SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
    ON CONFLICT (pcs_id) DO NOTHING RETURNING pcs_id";

/// When a commit is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// When it is synced.
    Synced,
    /// At once.
    Async,
}

async fn connect(at: &str, commit: Commit) -> io::Result<Client> {
    let mut config = Config::from_str(at).map_err(io::Error::other)?;
    config.options(match commit {
        Commit::Synced => "-c synchronous_commit=on",
        Commit::Async => "-c synchronous_commit=off",
    });
    let (client, connection) = config.connect(NoTls).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("flk-peer: PostgreSQL is gone: {error}");
        }
    });
    Ok(client)
}

async fn make_table(at: &str) -> io::Result<()> {
    let client = connect(at, Commit::Synced).await?;
    client.batch_execute(TABLE).await.map_err(io::Error::other)
}

/// A statement for each record, on the connections by turns.
pub(crate) struct Single {
    connections: Vec<(Client, Statement)>,
    next: AtomicUsize,
}

impl Single {
    pub(crate) async fn open(at: &str, commit: Commit) -> io::Result<Self> {
        make_table(at).await?;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS_COUNT {
            let client = connect(at, commit).await?;
            let insert = client.prepare(INSERT).await.map_err(io::Error::other)?;
            connections.push((client, insert));
        }
        let next = AtomicUsize::new(0);
        Ok(Self { connections, next })
    }

    pub(crate) async fn put(&self, record: Record) -> io::Result<Seen> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let (client, insert) = &self.connections[turn % CONNECTIONS_COUNT];
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
            [&record.id.as_slice(), &record.body.as_ref()];
        let rows = client.execute(insert, &values).await;
        Ok(seen(rows.map_err(io::Error::other)? == 1))
    }
}

/// A statement for all records that wait.
pub(crate) struct Group(Vec<Batcher<Record, Seen>>);

impl Group {
    pub(crate) async fn open(at: &str) -> io::Result<Self> {
        make_table(at).await?;
        let mut groups = Vec::new();
        for _ in 0..GROUPS_COUNT {
            let client = connect(at, Commit::Synced).await?;
            let insert = client.prepare(INSERT_ALL).await.map_err(io::Error::other)?;
            let connection = Arc::new((client, insert));
            let commit = move |records| {
                let connection = connection.clone();
                async move { insert_all(&connection.0, &connection.1, records).await }
            };
            groups.push(Batcher::start(BATCH_MAX, commit));
        }
        Ok(Self(groups))
    }

    /// The same id goes to the same group.
    pub(crate) async fn put(&self, record: Record) -> io::Result<Seen> {
        let group = usize::from(record.id[0]) % GROUPS_COUNT;
        self.0[group].put(record).await
    }
}

async fn insert_all(
    client: &Client,
    insert: &Statement,
    records: Vec<Record>,
) -> io::Result<Vec<Seen>> {
    let ids: Vec<&[u8]> = records.iter().map(|it| it.id.as_slice()).collect();
    let bodies: Vec<&[u8]> = records.iter().map(|it| it.body.as_ref()).collect();
    let rows = client.query(insert, &[&ids, &bodies]).await;
    let rows = rows.map_err(io::Error::other)?;
    let mut new: HashSet<&[u8]> = rows.iter().map(|row| row.get(0)).collect();
    // Of two with the same id the first one is new.
    Ok(ids.into_iter().map(|id| seen(new.remove(id))).collect())
}
