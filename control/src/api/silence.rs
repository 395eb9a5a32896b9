//! Since when a connection is silent. Its seat, its stream and its requests share it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Since when nothing has been asked on a connection, and its client has taken nothing of an answer; nothing while a request is
/// being answered.
#[derive(Clone)]
pub(super) struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    /// From now on.
    pub(super) fn begin() -> Silence {
        Silence(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    pub(super) fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// A part of an answer is on its way.
    pub(super) fn interrupt(&self) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = &mut *since {
            *since = Instant::now();
        }
    }
}
