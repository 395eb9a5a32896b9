//! Group commit: requests that arrive while a batch is being committed make up the next one. It owns the queue between
//! requests and the commit; it never repeats a batch, and all requests of a batch that failed are told so.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

/// Requests that may wait; a connection has one under way, so no more wait than there are connections.
const WAITING_MAX: usize = 4096;

struct Waiting<J, A> {
    job: J,
    answer: oneshot::Sender<Result<A, Arc<io::Error>>>,
}

/// One commit at a time.
pub(crate) struct Batcher<J, A> {
    queue: mpsc::Sender<Waiting<J, A>>,
}

impl<J: Send + 'static, A: Send + 'static> Batcher<J, A> {
    /// `commit` makes a batch of at most `batch_max` durable and returns an answer for each, in their order.
    pub(crate) fn start<C, F>(batch_max: usize, commit: C) -> Self
    where
        C: FnMut(Vec<J>) -> F + Send + 'static,
        F: Future<Output = io::Result<Vec<A>>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(waiting, batch_max, commit));
        Self { queue }
    }

    /// Waits until the batch of this job is committed.
    pub(crate) async fn put(&self, job: J) -> io::Result<A> {
        let (answer, committed) = oneshot::channel();
        let gone = || io::Error::other("nothing commits any more");
        let sent = self.queue.send(Waiting { job, answer }).await;
        sent.map_err(|_| gone())?;
        match committed.await {
            Ok(answer) => answer.map_err(|error| io::Error::new(error.kind(), error)),
            Err(_) => Err(gone()),
        }
    }
}

async fn run<J, A, C, F>(mut queue: mpsc::Receiver<Waiting<J, A>>, batch_max: usize, mut commit: C)
where
    C: FnMut(Vec<J>) -> F,
    F: Future<Output = io::Result<Vec<A>>>,
{
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, batch_max).await > 0 {
        let (batch, requests): (Vec<J>, Vec<_>) =
            waiting.drain(..).map(|it| (it.job, it.answer)).unzip();
        let committed =
            commit(batch)
                .await
                .and_then(|answers| match answers.len() == requests.len() {
                    true => Ok(answers),
                    false => Err(io::Error::other("a commit without an answer for each")),
                });
        // A client that is gone needs no answer.
        match committed {
            Ok(answers) => requests.into_iter().zip(answers).for_each(|(request, it)| {
                request.send(Ok(it)).ok();
            }),
            Err(error) => {
                let error = Arc::new(error);
                for request in requests {
                    request.send(Err(error.clone())).ok();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::sync::Semaphore;

    type Batches = Arc<Mutex<Vec<Vec<u32>>>>;

    /// A batcher whose commits wait for a permit each and double what they are given; the batches so far.
    fn doubling(batch_max: usize) -> (Arc<Batcher<u32, u32>>, Arc<Semaphore>, Batches) {
        let (permits, batches) = (
            Arc::new(Semaphore::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (allowed, seen) = (permits.clone(), batches.clone());
        let batcher = Batcher::start(batch_max, move |batch: Vec<u32>| {
            let allowed = allowed.clone();
            seen.lock().unwrap().push(batch.clone());
            async move {
                allowed.acquire().await.unwrap().forget();
                match batch.contains(&13) {
                    true => Err(io::Error::other("no thirteen")),
                    false => Ok(batch.into_iter().map(|it| it * 2).collect()),
                }
            }
        });
        (Arc::new(batcher), permits, batches)
    }

    /// Requests in this order, all under way: a request is queued the first time that its task runs.
    async fn begin(
        batcher: &Arc<Batcher<u32, u32>>,
        jobs: &[u32],
    ) -> Vec<tokio::task::JoinHandle<io::Result<u32>>> {
        let mut begun = Vec::new();
        for job in jobs {
            let (batcher, job) = (batcher.clone(), *job);
            begun.push(tokio::spawn(async move { batcher.put(job).await }));
            tokio::task::yield_now().await;
        }
        begun
    }

    #[tokio::test]
    async fn what_arrives_during_a_commit_shares_the_next_one() {
        let (batcher, permits, batches) = doubling(100);
        let begun = begin(&batcher, &[1, 2, 3, 4]).await;
        permits.add_permits(2);
        for (job, answer) in (1..).zip(begun) {
            assert_eq!(answer.await.unwrap().unwrap(), job * 2);
        }
        assert_eq!(*batches.lock().unwrap(), [vec![1], vec![2, 3, 4]]);
    }

    #[tokio::test]
    async fn no_batch_is_larger_than_allowed() {
        let (batcher, permits, batches) = doubling(2);
        let begun = begin(&batcher, &[1, 2, 3, 4, 5, 6]).await;
        permits.add_permits(6);
        for answer in begun {
            answer.await.unwrap().unwrap();
        }
        assert_eq!(
            *batches.lock().unwrap(),
            [vec![1], vec![2, 3], vec![4, 5], vec![6]]
        );
    }

    #[tokio::test]
    async fn nothing_is_answered_before_its_commit() {
        let (batcher, permits, _) = doubling(100);
        let begun = begin(&batcher, &[1]).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!begun[0].is_finished());
        permits.add_permits(1);
        for answer in begun {
            assert_eq!(answer.await.unwrap().unwrap(), 2);
        }
    }

    #[tokio::test]
    async fn a_failed_commit_fails_its_batch_and_no_other() {
        let (batcher, permits, _) = doubling(100);
        let begun = begin(&batcher, &[1, 13, 2]).await;
        permits.add_permits(3);
        let mut answers = Vec::new();
        for answer in begun {
            answers.push(answer.await.unwrap().map_err(|error| error.to_string()));
        }
        let failed = Err("no thirteen".to_owned());
        assert_eq!(answers, [Ok(2), failed.clone(), failed]);
        assert_eq!(batcher.put(4).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn a_commit_without_an_answer_for_each_is_a_failure() {
        let batcher: Batcher<u32, u32> = Batcher::start(10, |_| async { Ok(Vec::new()) });
        let error = batcher.put(1).await.unwrap_err().to_string();
        assert!(error.contains("an answer for each"), "{error}");
    }
}
