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
