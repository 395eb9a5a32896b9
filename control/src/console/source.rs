//! Where the numbers come from: the page of statistics of the data plane, mapped into this process, so that reading it costs the
//! data plane no turn and no system call. One that hands out no page that this build reads is asked for `/metrics`. It keeps no
//! number.

use super::threads::Threads;
use crate::scrape::Scraper;
use flk_dataplane::driver::line_socket::socket_path;
use flk_dataplane::driver::statistics::Reader;
use flk_dataplane::stats::exposition::Format;
use flk_dataplane::stats::page::PageError;
use flk_dataplane::wal::files::SOCKET;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How often the data plane is asked for its page, which is another one after a restart.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The first answer is not waited for any longer: the directory may be on a file system that hangs.
const FIRST_MAX: Duration = Duration::from_secs(2);
/// `/metrics` that comes later belongs to no second.
const PAGE_MAX: Duration = Duration::from_millis(900);

/// What the last question found.
#[derive(Clone, Debug)]
enum Found {
    /// A page in memory.
    Page(Arc<Reader>),
    /// A data plane without one.
    NoPage,
    /// None, and why.
    Away(String),
}

/// The data plane that serves from a directory.
#[derive(Clone, Debug)]
pub struct Source {
    wal_dir: PathBuf,
    scraper: Scraper,
    threads: Threads,
    found: Arc<Mutex<Found>>,
}

impl Source {
    /// That of this directory; `/metrics` is where the scraper says. It is asked by one of these threads, which waits for nothing else.
    pub fn of(wal_dir: PathBuf, scraper: Scraper, threads: Threads) -> Source {
        Source {
            wal_dir,
            scraper,
            threads,
            found: Arc::new(Mutex::new(Found::Away("it was not asked yet".to_owned()))),
        }
    }

    /// The directory of the log.
    pub fn wal_dir(&self) -> &Path {
        &self.wal_dir
    }

    fn found(&self) -> Found {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }

    /// The mapped page, if there is one.
    pub fn reader(&self) -> Option<Arc<Reader>> {
        self.page_or_why().ok()
    }

    /// The mapped page, or why there is none.
    ///
    /// # Errors
    /// In words.
    pub fn page_or_why(&self) -> Result<Arc<Reader>, String> {
        match self.found() {
            Found::Page(reader) => Ok(reader),
            Found::Away(why) => Err(why),
            Found::NoPage => {
                Err("it hands out no page of statistics that this version reads".to_owned())
            }
        }
    }

    /// All metrics of the data plane as they are now.
    ///
    /// # Errors
    /// It is away, in words.
    pub async fn page(&self) -> Result<String, String> {
        match self.found() {
            Found::Away(why) => Err(why),
            Found::Page(reader) => {
                let mut text = String::new();
                reader.render(Format::Prometheus, &mut text);
                Ok(text)
            }
            Found::NoPage => {
                let asked = self.scraper.page(Format::Prometheus);
                let late = |_| "its metrics did not come within a second".to_owned();
                tokio::time::timeout(PAGE_MAX, asked).await.map_err(late)?
            }
        }
    }

    /// Some numbers of each shard alone, under the names of their sums; nothing where they cannot be told apart.
    pub fn by_shard(&self) -> String {
        let mut text = String::new();
        if let Some(reader) = self.reader() {
            reader.render_by_shard(&mut text);
        }
        text
    }

    /// Asks for the page again and again from now on, for as long as the process. It ends with the first answer, or without one
    /// where that takes long.
    pub async fn follow(&self) {
        let (first, has_come) = oneshot::channel();
        let source = self.clone();
        tokio::spawn(async move {
            source.look().await;
            // Its caller may have gone on.
            let _ = first.send(());
            loop {
                tokio::time::sleep(ASK_EVERY).await;
                source.look().await;
            }
        });
        let _ = tokio::time::timeout(FIRST_MAX, has_come).await;
    }

    async fn look(&self) {
        let directory = self.wal_dir.clone();
        let asked = self
            .threads
            .place_for_page()
            .await
            .run(move || ask(&directory))
            .await;
        let Ok(asked) = asked else { return };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        *found = follow(&found, asked);
    }
}

fn ask(directory: &Path) -> Result<Reader, PageError> {
    let opened = File::open(directory).map_err(PageError::Io)?;
    Reader::ask(&socket_path(opened.as_fd(), directory, SOCKET))
}

/// What is found now, after what was found before. One that is too busy to answer is read as before: that is when its numbers
/// are wanted most.
fn follow(before: &Found, asked: Result<Reader, PageError>) -> Found {
    let identity = |page: &Reader| (page.pid(), page.started_wall_us());
    match (asked, before) {
        // The same memory: it is mapped already.
        (Ok(page), Found::Page(known)) if identity(&page) == identity(known) => before.clone(),
        (Ok(page), _) => Found::Page(Arc::new(page)),
        (Err(PageError::Io(error)), Found::Page(_) | Found::NoPage) if is_late(&error) => {
            before.clone()
        }
        (Err(PageError::Io(error)), _) => Found::Away(crate::link::of_system(&error)),
        (Err(_), _) => Found::NoPage,
    }
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_dataplane::driver::statistics::{Published, publish};
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::fs::OpenOptions;
    use std::time::Instant;

    fn page(started_wall_us: u64) -> (Published, Reader) {
        let published = publish(1).unwrap();
        published.stats.begin(started_wall_us);
        let reader = Reader::of(published.memory.as_fd()).unwrap();
        (published, reader)
    }

    fn refused(kind: ErrorKind) -> Result<Reader, PageError> {
        Err(PageError::Io(kind.into()))
    }

    #[test]
    fn a_page_is_kept_while_its_process_is_busy_and_replaced_by_that_of_the_next() {
        let (memory, first) = page(1);
        let found = follow(&Found::Away(String::new()), Ok(first));
        let Found::Page(kept) = &found else {
            panic!("{found:?}");
        };
        let again = Reader::of(memory.memory.as_fd()).unwrap();
        for asked in [Ok(again), refused(ErrorKind::TimedOut)] {
            let Found::Page(now) = follow(&found, asked) else {
                panic!("it is there");
            };
            assert!(Arc::ptr_eq(kept, &now));
        }
        let (_other, second) = page(2);
        let Found::Page(now) = follow(&found, Ok(second)) else {
            panic!("it is there");
        };
        assert_eq!(now.started_wall_us(), 2);
    }

    #[tokio::test]
    async fn a_directory_that_hangs_is_away_and_is_asked_again_when_it_answers() {
        let directory = tempfile::tempdir().unwrap();
        let hangs = directory.path().join("wal");
        // Nothing else has it open: to open it takes until something does.
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, &hangs, FileType::Fifo, mode, 0).unwrap();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let source = Source::of(
            hangs.clone(),
            Scraper::of(address, None),
            Threads::default(),
        );
        source.follow().await;
        let before = source.page().await.unwrap_err();
        let both = OpenOptions::new().read(true).write(true).open(&hangs);
        let deadline = Instant::now() + Duration::from_secs(60);
        while source.page().await == Err(before.clone()) {
            assert!(Instant::now() < deadline, "it was not asked again");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // It stays open: the runtime waits for its threads.
        std::mem::forget(both);
    }

    #[test]
    fn one_that_is_gone_is_away_and_one_without_a_page_is_asked_for_its_metrics() {
        let (_memory, first) = page(1);
        let there = Found::Page(Arc::new(first));
        let gone = follow(&there, refused(ErrorKind::ConnectionRefused));
        assert!(
            matches!(&gone, Found::Away(why) if why.contains("refused")),
            "{gone:?}"
        );
        let late = follow(&gone, refused(ErrorKind::TimedOut));
        assert!(matches!(late, Found::Away(_)));
        assert!(matches!(
            follow(&there, Err(PageError::NoPage)),
            Found::NoPage
        ));
        let without = follow(&there, Err(PageError::Damaged));
        assert!(matches!(without, Found::NoPage));
        // It is busy, and its metrics come all the same.
        let late = follow(&without, refused(ErrorKind::WouldBlock));
        assert!(matches!(late, Found::NoPage));
        let gone = follow(&without, refused(ErrorKind::ConnectionRefused));
        assert!(matches!(gone, Found::Away(_)));
    }

    #[tokio::test]
    async fn a_data_plane_that_ends_while_files_hang_is_seen_to_be_away() {
        let threads = Threads::default();
        let _hang = [threads.place().await, threads.place().await];
        let directory = tempfile::tempdir().unwrap();
        let scraper = Scraper::of(([127, 0, 0, 1], 1).into(), None);
        let source = Source::of(directory.path().to_owned(), scraper, threads.clone());
        let (_memory, reader) = page(1);
        *source.found.lock().unwrap() = Found::Page(Arc::new(reader));
        let looked = tokio::time::timeout(Duration::from_secs(30), source.look());
        looked.await.expect("it waits for no file");
        assert!(
            source.page().await.is_err(),
            "its last numbers are none of now"
        );
    }
}
