//! Whether sending continues, and if not, why. The state only moves forward, from running to stopping to abandoned; the
//! first reason is kept.

use tokio::sync::watch;

/// The stage of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// Nothing more is sent; outstanding answers are waited for.
    Stopping,
    /// Outstanding answers are not waited for.
    Abandoned,
}

/// Why sending stops before the end of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A record got no answer.
    Unanswered,
    /// The server is not a gateway.
    NotAGateway(String),
    /// The output was closed by its reader.
    OutputClosed,
    /// The answers cannot be written.
    Output(String),
    /// Ctrl-C, or the same from another process.
    Interrupted,
}

/// Shared by the threads that read, send and show.
#[derive(Clone)]
pub(crate) struct SendStop {
    state: watch::Sender<(Phase, Option<Why>)>,
}

impl SendStop {
    /// Sending goes on.
    pub(crate) fn new() -> Self {
        let (state, _) = watch::channel((Phase::Running, None));
        Self { state }
    }

    /// Sends nothing new from now on.
    pub(crate) fn begin(&self, why: Why) {
        self.state.send_if_modified(|(phase, reason)| {
            let first = *phase == Phase::Running;
            if first {
                (*phase, *reason) = (Phase::Stopping, Some(why));
            }
            first
        });
    }

    /// Stops waiting for outstanding answers.
    pub(crate) fn abandon(&self) {
        self.state
            .send_modify(|(phase, _)| *phase = Phase::Abandoned);
    }

    /// The first reason; none while sending goes on.
    pub(crate) fn why(&self) -> Option<Why> {
        self.state.borrow().1.clone()
    }

    /// Whether nothing new is sent.
    pub(crate) fn has_begun(&self) -> bool {
        self.state.borrow().0 > Phase::Running
    }

    /// Returns when nothing new is sent any more.
    pub(crate) async fn begun(&self) {
        self.reached(Phase::Stopping).await;
    }

    /// Returns when answers are no longer awaited.
    pub(crate) async fn abandoned(&self) {
        self.reached(Phase::Abandoned).await;
    }

    async fn reached(&self, wanted: Phase) {
        let mut changes = self.state.subscribe();
        // the sender lives as long as `self`
        let _ = changes.wait_for(|(phase, _)| *phase >= wanted).await;
    }
}
