//! The doorbell of a shard for an executor: a thread that waits for the eventfd and wakes the task of turns. Messages of other
//! threads are few (the keeper's, some for a hundred log writes), so what the thread costs is not seen. It carries no message.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use flk_dataplane::driver::doorbell::Doorbell;

use crate::signal::keep;

/// Whether the doorbell was rung.
#[derive(Default)]
pub(crate) struct Bell {
    is_rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// Starts the thread, which ends with the process.
    pub(crate) fn listen(doorbell: &Arc<Doorbell>) -> io::Result<Arc<Self>> {
        let (bell, doorbell) = (Arc::new(Self::default()), Arc::clone(doorbell));
        let rung = Arc::clone(&bell);
        std::thread::Builder::new()
            .name("flk-bell".to_owned())
            .spawn(move || {
                let mut count = [0; 8];
                while rustix::io::read(doorbell.eventfd(), &mut count).is_ok() {
                    rung.ring();
                }
            })?;
        Ok(bell)
    }

    fn ring(&self) {
        self.is_rung.store(true, Ordering::Release);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }

    /// Whether it was rung since the last time that this was ready.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        // The waker is there before the flag is read: a ring in between wakes it.
        keep(
            &mut self.waker.lock().unwrap_or_else(PoisonError::into_inner),
            cx,
        );
        match self.is_rung.swap(false, Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flk_dataplane::driver::links::link;
    use flk_dataplane::driver::listen::listeners;
    use flk_dataplane::driver::turns::Turns;
    use flk_dataplane::driver::{DriverLimits, NoProbe, ShardSetup};
    use flk_dataplane::io::ShardId;
    use flk_dataplane::mesh::keeper::ToShard;
    use futures_lite::future::block_on;
    use std::future::poll_fn;
    use std::time::Duration;

    #[test]
    fn a_message_to_a_sleeping_shard_ends_its_wait() {
        let doorbell = || Arc::new(Doorbell::new().unwrap());
        let (mut links, keeper) = link(&[doorbell()], &doorbell(), 1);
        let any = ([127, 0, 0, 1], 0).into();
        let listener = listeners(any, 1, Duration::ZERO, || {}).unwrap().remove(0);
        let (mut turns, _, _) = Turns::of(ShardSetup {
            shard: ShardId(0),
            listener: listener.into(),
            links: links.remove(0),
            buckets: Arc::default(),
            probe: Box::new(NoProbe),
            limits: DriverLimits::default(),
        });
        let bell = Bell::listen(turns.bell()).unwrap();
        let is_rung = || bell.poll(&Context::from_waker(Waker::noop())).is_ready();
        assert!(!is_rung());
        assert!(turns.may_sleep(u64::MAX));
        keeper.tell(ShardId(0), ToShard::Drain);
        block_on(poll_fn(|cx| bell.poll(cx)));
        assert!(!is_rung());
        assert!(!turns.may_sleep(u64::MAX), "the message waits");
    }
}
