//! The connection to `WAL_DIR/control.sock`: one JSON object per line, one back for each. It owns the socket and its
//! time-outs. It decides nothing, and asks again at most once, for asking twice for the same snapshot changes nothing.

use flk_dataplane::driver::agent::protocol::{
    AgentAnswer, Ask, Code, PROTOCOL, Question, Reply, Status,
};
use flk_dataplane::snapshot::{Digest, Document};
use std::fmt;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The socket's name in the directory of the log.
pub const SOCKET: &str = "control.sock";
/// The data plane waits up to 5 s for its shards.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A document of all tenants that may be, and more.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Longest path of a socket; a longer one is reached through the descriptor of its directory.
const PATH_BYTES_MAX: usize = 107;

/// Why there is no answer, or not the one that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// Nothing listens, or it ended before it answered.
    Away(String),
    /// The data plane said no.
    Refused {
        /// For programs.
        code: Code,
        /// A sentence for operators.
        reason: String,
    },
}

impl fmt::Display for LinkError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::Away(why) => write!(out, "the data plane does not answer: {why}"),
            LinkError::Refused { code, reason } => {
                write!(out, "the data plane refuses it ({}): {reason}", word(*code))
            }
        }
    }
}

impl std::error::Error for LinkError {}

/// A code as the protocol has it.
pub fn word(code: Code) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("a code is a word: {other:?}"),
    }
}

/// The connection, made when it is first needed and again after it broke.
#[derive(Debug)]
pub struct Link {
    directory: PathBuf,
    stream: Option<BufReader<UnixStream>>,
}

impl Link {
    /// To the data plane that serves from this directory.
    pub fn to(directory: impl Into<PathBuf>) -> Link {
        Link {
            directory: directory.into(),
            stream: None,
        }
    }

    /// What is in force.
    ///
    /// # Errors
    /// The data plane is away, or speaks another version.
    pub async fn status(&mut self) -> Result<Status, LinkError> {
        match self.ask(Ask::Status).await? {
            Reply::Status(status) => Ok(*status),
            _ => Err(strange("no status")),
        }
    }

    /// The document of a number that is kept; 0 is the one of the start.
    ///
    /// # Errors
    /// It is not kept, or the data plane is away.
    pub async fn document(&mut self, number: u32) -> Result<Document, LinkError> {
        match self.ask(Ask::Document { number }).await? {
            Reply::Document(document) => Ok(*document),
            _ => Err(strange("no document")),
        }
    }

    /// Whether a document would be taken: everything of [`Link::publish`] but the effect.
    ///
    /// # Errors
    /// It would be refused, or the data plane is away.
    pub async fn check(&mut self, document: &Document) -> Result<(), LinkError> {
        let document = Box::new(document.clone());
        match self.ask(Ask::Check { document }).await? {
            Reply::Checked(true) => Ok(()),
            _ => Err(strange("it neither checked nor refused it")),
        }
    }

    /// Brings a document into force; returns when every shard runs it.
    ///
    /// # Errors
    /// It is refused, or the data plane is away: then it may be in force or not, which the next status says.
    pub async fn publish(&mut self, document: &Document, digest: Digest) -> Result<(), LinkError> {
        let asked = Ask::Publish {
            digest: digest.to_string(),
            document: Box::new(document.clone()),
        };
        match self.ask(asked).await? {
            Reply::Applied { number, .. } if number == document.number => Ok(()),
            _ => Err(strange("it applied another number")),
        }
    }

    /// Asks over the connection that there is; over a new one if it turns out to be broken.
    async fn ask(&mut self, ask: Ask) -> Result<Reply, LinkError> {
        let question = Question { v: PROTOCOL, ask };
        let line = serde_json::to_string(&question);
        let line = line.map_err(|error| strange(&error.to_string()))? + "\n";
        if let Some(stream) = self.stream.take()
            && let Ok(answer) = self.exchange(stream, &line).await
        {
            return refusal(answer);
        }
        let stream = self.connect().await?;
        let answer = self.exchange(stream, &line).await?;
        refusal(answer)
    }

    /// One line there and one back. Only a connection without a fault is kept.
    async fn exchange(
        &mut self,
        mut stream: BufReader<UnixStream>,
        line: &str,
    ) -> Result<Reply, LinkError> {
        let broken = |error: std::io::Error| LinkError::Away(of_system(&error));
        let talk = async {
            stream.write_all(line.as_bytes()).await.map_err(broken)?;
            let mut answer = Vec::new();
            let mut bounded = (&mut stream).take(LINE_BYTES_MAX);
            bounded
                .read_until(b'\n', &mut answer)
                .await
                .map_err(broken)?;
            match answer.last() {
                Some(b'\n') => Ok(answer),
                _ => Err(LinkError::Away("it ended before it answered".to_owned())),
            }
        };
        let late = |_| LinkError::Away(format!("no answer within {} s", ANSWER_MAX.as_secs()));
        let answer = timeout(ANSWER_MAX, talk).await.map_err(late)??;
        let answer: AgentAnswer =
            serde_json::from_slice(&answer).map_err(|error| strange(&error.to_string()))?;
        self.stream = Some(stream);
        Ok(answer.reply)
    }

    async fn connect(&self) -> Result<BufReader<UnixStream>, LinkError> {
        let away = |error: std::io::Error| {
            let socket = self.directory.join(SOCKET);
            LinkError::Away(format!("{}: {}", socket.display(), of_system(&error)))
        };
        let directory = std::fs::File::open(&self.directory).map_err(away)?;
        let path = socket_path(&self.directory, directory.as_raw_fd());
        let connecting = timeout(ANSWER_MAX, UnixStream::connect(path)).await;
        let stream = connecting
            .map_err(|late| away(late.into()))?
            .map_err(away)?;
        let peer = stream.peer_cred().map_err(away)?.uid();
        match peer == 0 || peer == rustix::process::geteuid().as_raw() {
            true => Ok(BufReader::new(stream)),
            false => Err(LinkError::Away(format!(
                "user {peer} listens on {}, neither root nor the user of this process",
                self.directory.join(SOCKET).display()
            ))),
        }
    }
}

fn socket_path(directory: &Path, descriptor: i32) -> PathBuf {
    let direct = directory.join(SOCKET);
    match direct.as_os_str().len() <= PATH_BYTES_MAX {
        true => direct,
        false => Path::new("/proc/self/fd")
            .join(descriptor.to_string())
            .join(SOCKET),
    }
}

/// An answer, or the refusal that it is.
fn refusal(reply: Reply) -> Result<Reply, LinkError> {
    match reply {
        Reply::Refused { code, reason } => Err(LinkError::Refused { code, reason }),
        other => Ok(other),
    }
}

fn strange(problem: &str) -> LinkError {
    LinkError::Away(format!(
        "its answer is not of this version of the protocol ({problem}); run the same version of flk for both"
    ))
}

/// The text of the system without its number.
pub fn of_system(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}
