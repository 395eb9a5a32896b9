//! Where readings come from: the page of statistics of a gateway on this host, with a part for each shard, or `/metrics` of
//! any gateway, which adds shards up. It reads, and computes nothing.

use crate::exit::{Exit, Failure};
use crate::fault;
use crate::page::Page;
use crate::page::samples::Samples;
use flk_dataplane::driver::line_socket::socket_path;
use flk_dataplane::driver::statistics::Reader;
use flk_dataplane::stats::exposition::Format;
use flk_dataplane::stats::page::PageError;
use flk_dataplane::wal::files::SOCKET;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// All samples at one time.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// When it was taken, since the first one could be.
    pub(super) at: Duration,
    pub(super) whole: Samples,
    /// Of each shard alone; none where the source cannot tell shards apart.
    pub(super) shards: Vec<Samples>,
}

/// A gateway.
pub(super) struct Source {
    kind: Kind,
    begin: Instant,
}

enum Kind {
    Page {
        directory: PathBuf,
        /// The page that was handed over last.
        reader: Option<Reader>,
    },
    Url(Box<Page>),
}

impl Source {
    /// The gateway that serves from a log directory.
    pub(super) fn of_directory(directory: &Path) -> Self {
        Self::new(Kind::Page {
            directory: directory.to_owned(),
            reader: None,
        })
    }

    /// The gateway behind an address.
    pub(super) fn of_url(url: &str) -> Result<Self, Failure> {
        let page = Page::of_url(url)?.with_credentials_of_environment();
        Ok(Self::new(Kind::Url(Box::new(page))))
    }

    fn new(kind: Kind) -> Self {
        let begin = Instant::now();
        Self { kind, begin }
    }

    /// What is read, for the user.
    pub(super) fn name(&self) -> String {
        match &self.kind {
            Kind::Page { directory, .. } => directory.display().to_string(),
            Kind::Url(page) => page.url(),
        }
    }

    /// Takes a reading.
    pub(super) fn read(&mut self) -> Result<Reading, Failure> {
        let name = self.name();
        let (whole, shards) = match &mut self.kind {
            Kind::Page { directory, reader } => {
                let reader = renewed(directory, reader)?;
                let mut whole = String::new();
                reader.render(Format::Prometheus, &mut whole);
                (whole, reader.render_shards(Format::Prometheus).collect())
            }
            Kind::Url(page) => (page.fetch()?, Vec::new()),
        };
        let at = self.begin.elapsed();
        let read =
            |text: &String| Samples::read(text).filter(|it| it.value("flk_shards").is_some());
        let shards: Option<Vec<Samples>> = shards.iter().map(read).collect();
        match (read(&whole), shards) {
            (Some(whole), Some(shards)) => Ok(Reading { at, whole, shards }),
            _ => Err(Failure::unavailable(format!(
                "what answers at {name} is not a gateway: it has no metrics of one"
            ))),
        }
    }
}

/// Asks for the page again, because another gateway may serve by now. One that is too busy to answer is read as before: that
/// is when its numbers are wanted most.
fn renewed<'r>(directory: &Path, kept: &'r mut Option<Reader>) -> Result<&'r Reader, Failure> {
    let asked = open(directory).and_then(|file| {
        let socket = socket_path(file.as_fd(), directory, SOCKET);
        Reader::ask(&socket)
    });
    let reader = match (asked, kept.take()) {
        (Ok(reader), _) => reader,
        (Err(PageError::Io(error)), Some(reader)) if is_late(&error) => reader,
        (Err(error), _) => return Err(refused(directory, &error)),
    };
    Ok(kept.insert(reader))
}

fn open(directory: &Path) -> Result<File, PageError> {
    File::open(directory).map_err(PageError::Io)
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn refused(directory: &Path, error: &PageError) -> Failure {
    let path = directory.display();
    match error {
        PageError::Io(error) => {
            let why = match error.kind() {
                // a killed gateway leaves its socket
                ErrorKind::ConnectionRefused => "its socket has no listener".to_owned(),
                _ => fault::why(error),
            };
            Failure::unavailable(format!(
                "no gateway serves from {path}: {why}; --dir or WAL_DIR names the directory, --url a gateway elsewhere"
            ))
        }
        PageError::NoPage => Failure::unavailable(format!(
            "the gateway that serves from {path} hands out no statistics; --url reads its metrics"
        )),
        PageError::OtherVersion { .. } | PageError::Damaged => Failure::with(
            Exit::Configuration,
            format!("{error}; --url reads the metrics of any version"),
        ),
    }
}
