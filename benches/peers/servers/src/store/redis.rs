//! Redis: `SET id body NX` over one connection, on which requests follow each other without waiting. What an acknowledgement
//! promises is decided by `appendfsync` of the server.

use std::io;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use super::{Record, Seen, seen};

/// A sync of the append-only file, behind hundreds of others, may hold an answer up for longer than the client waits by itself.
const ANSWER_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Redis(MultiplexedConnection);

impl Redis {
    pub(crate) async fn open(at: &str) -> io::Result<Self> {
        let client = Client::open(at).map_err(io::Error::other)?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_MAX));
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        Ok(Self(connection.map_err(io::Error::other)?))
    }

    pub(crate) async fn put(&self, record: Record) -> io::Result<Seen> {
        let mut command = redis::cmd("SET");
        command.arg(&record.id).arg(record.body.as_ref()).arg("NX");
        let set: redis::RedisResult<Option<String>> =
            command.query_async(&mut self.0.clone()).await;
        Ok(seen(set.map_err(io::Error::other)?.is_some()))
    }
}
