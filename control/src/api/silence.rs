//! Since when a connection is silent. Its seat, its stream and its requests share it.

use axum::http::Extensions;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// Since when nothing has been asked on a connection, and its client has taken nothing of an answer, or sent nothing that an answer
/// waits for; nothing while a request is being answered.
#[derive(Clone)]
pub(super) struct Silence {
    since: Arc<Mutex<Option<Instant>>>,
    /// Told when a connection has become silent.
    begun: Arc<Notify>,
}

impl Silence {
    /// From now on.
    pub(super) fn of_new(begun: &Arc<Notify>) -> Silence {
        Silence {
            since: Arc::new(Mutex::new(Some(Instant::now()))),
            begun: Arc::clone(begun),
        }
    }

    fn set(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    pub(super) fn since(&self) -> Option<Instant> {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is silent from now on.
    pub(super) fn begin(&self) {
        self.set(Some(Instant::now()));
        self.begun.notify_one();
    }

    /// A request is being answered.
    pub(super) fn end(&self) {
        self.set(None);
    }

    /// A part of an answer is on its way.
    pub(super) fn interrupt(&self) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = &mut *since {
            *since = Instant::now();
        }
    }
}

/// What the client of a request has still to send. Its connection, which the extensions of the request name, is silent meanwhile: it
/// gives way to others.
pub(super) async fn of_client<T>(request: &Extensions, sent: impl Future<Output = T>) -> T {
    let silence = request.get::<Silence>();
    silence.inspect(|it| it.begin());
    let sent = sent.await;
    silence.inspect(|it| it.end());
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_silent_while_its_client_owes_a_body_and_no_longer() {
        let begun = Arc::default();
        let silence = Silence::of_new(&begun);
        silence.end();
        let mut request = Extensions::new();
        request.insert(silence.clone());
        let sent = of_client(&request, async { silence.since().is_some() });
        assert!(sent.await, "it gives way meanwhile");
        begun.notified().await;
        assert_eq!(silence.since(), None, "it is being answered");
    }
}
