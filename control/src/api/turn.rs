//! The turns of answers that take memory or threads: each waits for its own for some seconds, and is refused then. It knows nothing
//! of what is answered.

use super::problem::Problem;
use crate::console::threads::Place;
use std::time::Duration;
use tokio::time::timeout;

/// How long an answer waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(5);

/// The turn, if it comes in time.
pub(super) async fn in_turn<T>(turn: impl Future<Output = T>) -> Result<T, Problem> {
    timeout(TURN_MAX, turn).await.map_err(|_| Problem::Busy)
}

/// What the work makes on a thread, once there is a place.
pub(super) async fn made<T: Send + 'static>(
    place: impl Future<Output = Place>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let place = in_turn(place).await?;
    let made = place.run(work).await;
    made.map_err(|error| Problem::Bug(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::threads::Threads;

    /// What takes longer does not come.
    const DEADLINE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn work_that_finds_no_thread_in_time_is_refused_and_not_begun() {
        let threads = Threads::default();
        let places = [threads.place().await, threads.place().await];
        let work = || panic!("no thread is free");
        let refused = timeout(DEADLINE, made(threads.place(), work)).await;
        let refused: Result<(), Problem> = refused.expect("it does not wait for ever");
        assert!(matches!(refused, Err(Problem::Busy)));
        drop(places);
        assert!(matches!(made(threads.place(), || 7).await, Ok(7)));
    }
}
