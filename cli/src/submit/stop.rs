//! One place that says whether sending goes on, and why it does not. It only goes forward: from running to stopping to
//! abandoned; the first reason stays.

use tokio::sync::watch;

/// How far a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// Nothing new is sent; answers under way are awaited.
    Stopping,
    /// Answers are no longer awaited.
    Abandoned,
}

/// Why sending stops before the end of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A record stayed without an answer.
    Unanswered,
    /// What answers is not a gateway.
    NotAGateway(String),
    /// The reader of the answers closed them.
    OutputClosed,
    /// The answers cannot be written.
    Output(String),
    /// Ctrl-C, or the same from another process.
    Interrupted,
}

/// Shared by the threads that read, send and show.
#[derive(Clone)]
pub(crate) struct Stop {
    state: watch::Sender<(Phase, Option<Why>)>,
}

impl Stop {
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

    /// Nor awaits the answers under way.
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
