//! The keeper: everything that touches files beyond appending — start and recovery, spare segments and their naming, the
//! manifest, sealing, deletion. It reads closed segments, never a shard's memory.

pub mod config;
pub mod messages;
pub mod notice;
pub mod port;

use crate::event::Now;
use port::{KeeperEvent, KeeperOps, Port};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

/// The keeper as a state machine: its flows are one hand-polled future behind a [`Port`]. It is not `Send`: make it on
/// the thread that steps it.
pub struct Keeper {
    port: Port,
    flow: Pin<Box<dyn Future<Output = ()>>>,
    ended: bool,
}

impl Keeper {
    /// A keeper that runs this flow, which talks to the world through a clone of this port only.
    fn of(port: Port, flow: impl Future<Output = ()> + 'static) -> Keeper {
        Keeper {
            port,
            flow: Box::pin(flow),
            ended: false,
        }
    }

    /// Takes what happened, goes on as far as that allows, and says what to do. The first step may have no events.
    pub fn step(&mut self, events: impl Iterator<Item = KeeperEvent>, now: Now) -> KeeperOps {
        self.port.deliver(events, now);
        if !self.ended {
            let mut context = Context::from_waker(Waker::noop());
            self.ended = self.flow.as_mut().poll(&mut context).is_ready();
        }
        self.port.drain()
    }
}
