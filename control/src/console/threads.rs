//! The threads that work for the console may wait on. There are fewer than the process has, so that files that hang hold up neither
//! tokens nor the configuration. Work keeps its place until it is done, whether or not its caller still waits.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, spawn_blocking};

/// Of the threads of the process that may wait, so many.
pub const THREADS_MAX: usize = 2;

/// See the module. Clones share the places.
#[derive(Clone, Debug)]
pub struct Threads(Arc<Semaphore>);

impl Default for Threads {
    fn default() -> Threads {
        Threads(Arc::new(Semaphore::new(THREADS_MAX)))
    }
}

impl Threads {
    /// Waits for a thread.
    pub async fn place(&self) -> Place {
        match Arc::clone(&self.0).acquire_owned().await {
            Ok(place) => Place(place),
            Err(_) => unreachable!("the places are never closed"),
        }
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
        for _ in 0..THREADS_MAX {
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
        assert_eq!(threads.0.available_permits(), 0);
        releases.clear();
        assert_eq!(threads.place().await.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_place_back() {
        let threads = Threads::default();
        let made = threads.place().await.run(|| panic!("a test")).await;
        assert!(made.is_err());
        assert_eq!(threads.0.available_permits(), THREADS_MAX);
    }
}
