//! NATS JetStream: a stream in files, each record published with its id, acknowledged by the server, which knows ids for two
//! minutes. What an acknowledgement promises is decided by `sync_interval` of the server.

use std::io;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType};

use flk_contract::hash::hex32;

use super::{Record, Seen, seen};

const SUBJECT: &str = "records";
/// For a server that syncs each message, behind hundreds of others.
const ACK_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Nats(Context);

impl Nats {
    pub(crate) async fn open(at: &str) -> io::Result<Self> {
        let client = async_nats::connect(at).await.map_err(io::Error::other)?;
        let context = ContextBuilder::new()
            .timeout(ACK_MAX)
            .ack_timeout(ACK_MAX)
            .build(client);
        let stream = Config {
            name: SUBJECT.to_owned(),
            subjects: vec![SUBJECT.to_owned()],
            storage: StorageType::File,
            ..Config::default()
        };
        context
            .get_or_create_stream(stream)
            .await
            .map_err(io::Error::other)?;
        Ok(Self(context))
    }

    pub(crate) async fn put(&self, record: Record) -> io::Result<Seen> {
        let id = String::from_utf8_lossy(&hex32(&record.id)).into_owned();
        let message = PublishMessage::build().message_id(id).payload(record.body);
        let sent = self.0.send_publish(SUBJECT, message).await;
        let ack = sent.map_err(io::Error::other)?.await;
        Ok(seen(!ack.map_err(io::Error::other)?.duplicate))
    }
}
