//! The threads that work for the console may wait on. There are fewer than the process has, so that files that hang hold up neither
//! tokens nor the configuration. What needs no file has its own, so that it holds up neither rows nor the question for the data
//! plane's page. Work keeps its place until it is done, whether or not its caller still waits.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, spawn_blocking};

/// Of the threads of the process that may wait, so many.
pub const THREADS_MAX: usize = FILES_MAX + ROWS_MAX + PAGES_MAX;

/// For files.
const FILES_MAX: usize = 2;
/// For rows of the history, which are in memory.
const ROWS_MAX: usize = 2;
/// For the question for the page of the data plane.
const PAGES_MAX: usize = 1;

/// See the module. Clones share the places.
#[derive(Clone, Debug)]
pub struct Threads {
    files: Arc<Semaphore>,
    rows: Arc<Semaphore>,
    pages: Arc<Semaphore>,
}

impl Default for Threads {
    fn default() -> Threads {
        let places = |count| Arc::new(Semaphore::new(count));
        Threads {
            files: places(FILES_MAX),
            rows: places(ROWS_MAX),
            pages: places(PAGES_MAX),
        }
    }
}

impl Threads {
    /// Waits for a thread that may wait on files.
    pub async fn place(&self) -> Place {
        place(&self.files).await
    }

    /// Waits for one that waits on no file.
    pub async fn place_for_rows(&self) -> Place {
        place(&self.rows).await
    }

    /// Waits for the one that asks the data plane.
    pub async fn place_for_page(&self) -> Place {
        place(&self.pages).await
    }
}

async fn place(of: &Arc<Semaphore>) -> Place {
    match Arc::clone(of).acquire_owned().await {
        Ok(place) => Place(place),
        Err(_) => unreachable!("the places are never closed"),
    }
}

/// A thread that is free.
#[derive(Debug)]
pub struct Place(OwnedSemaphorePermit);

impl Place {
    /// What the work makes. A caller that no longer waits does not end it.
    ///
    /// # Errors
    /// The work panicked.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let place = self.0;
        let made = spawn_blocking(move || {
            let made = work();
            drop(place);
            made
        });
        made.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[tokio::test]
    async fn work_whose_caller_is_gone_keeps_its_place_until_it_is_done() {
        let threads = Threads::default();
        let mut releases = Vec::new();
        for _ in 0..FILES_MAX {
            let (release, held) = channel::<()>();
            let (begins, has_begun) = tokio::sync::oneshot::channel();
            let threads = threads.clone();
            let work = move || {
                begins.send(()).unwrap();
                let _ = held.recv();
            };
            let caller = tokio::spawn(async move { threads.place().await.run(work).await });
            has_begun.await.unwrap();
            caller.abort();
            assert!(caller.await.unwrap_err().is_cancelled());
            releases.push(release);
        }
        assert_eq!(threads.files.available_permits(), 0);
        releases.clear();
        assert_eq!(threads.place().await.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_place_back() {
        let threads = Threads::default();
        let made = threads.place().await.run(|| panic!("a test")).await;
        assert!(made.is_err());
        assert_eq!(threads.files.available_permits(), FILES_MAX);
    }
}
