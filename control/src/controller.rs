//! The task that decides: it compares the configuration with what is in force and publishes it where they differ. It owns the
//! connection to the data plane and the audit log, so changes happen one after the other. It opens no file of the
//! configuration itself.

mod order;
mod publish;

pub use order::{Order, OrderResult, Orders, Refusal};

use crate::audit::Audit;
use crate::desired::{Desired, Fixed, Mistakes, ReadDesired, needs_restart};
use crate::diff::diff;
use crate::events::{
    ConfigWrong, DataplaneAnswers, DataplaneAway, ReloadRefused, ReloadUnchanged, RestartNeeded,
    RollbackHolds, SnapshotRolledBack, StartedOtherwise,
};
use crate::link::{Link, LinkError};
use crate::say::say;
use crate::tokens::Actor;
use crate::view::{Board, Configuration, Dataplane, Pinned};
use crate::watch::Changes;
use flk_dataplane::driver::agent::protocol::Status;
use publish::{Change, Owed, Pause};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How often the configuration and the data plane are looked at although nothing happened.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The first pause while the data plane is away; it doubles up to [`LOOK_EVERY`].
const AWAY_PAUSE_MIN: Duration = Duration::from_millis(100);
/// A file that is being written is not taken: it must read the same twice, this far apart.
const SETTLE: Duration = Duration::from_millis(200);
/// A file that never reads the same twice is taken as it is.
const SETTLE_READS_MAX: usize = 10;
/// The cause of what differs when control starts.
const AT_START: &str = "start";
/// Lines of one event.
pub(crate) const LINES_MAX: usize = 50;

/// What a controller works with.
pub struct Parts {
    /// Reads the configuration.
    pub read: ReadDesired,
    /// Announces changes of its file.
    pub changes: Changes,
    /// To the data plane.
    pub link: Link,
    /// Where changes are recorded.
    pub audit: Audit,
    /// Where its state is shown.
    pub board: Board,
    /// Told each number that came into force.
    pub published: watch::Sender<Option<u32>>,
}

/// The configuration as it was last read.
type Seen = Result<Arc<Desired>, Mistakes>;

/// The task.
pub struct Controller {
    read: Arc<ReadDesired>,
    changes: Changes,
    link: Link,
    audit: Audit,
    board: Board,
    published: watch::Sender<Option<u32>>,
    seen: Option<Seen>,
    /// What a look without a change of the configuration counts as: the start, until something else happened.
    cause: &'static str,
    /// Settings when the data plane was last seen to start.
    fixed_at_start: Option<BTreeMap<String, Fixed>>,
    /// Settings of control itself when it started.
    own_at_start: Option<BTreeMap<String, Fixed>>,
    pinned: Option<Pinned>,
    /// The rollback of the audit log has been looked at.
    knows_pin: bool,
    /// What the audit log owes: the outcome of its last line.
    owed: Option<Owed>,
    /// After a refusal the same content is not tried again before its pause is over.
    pause: Option<Pause>,
    away_pause: Duration,
}

/// Why the configuration is compared with what is in force.
enum Asked<'a> {
    /// Nothing special: what was rolled back or refused stays so.
    Look,
    /// An operator or a signal asks for the configuration.
    Reload(&'a Actor),
}

impl Controller {
    /// One that has seen nothing yet.
    pub fn new(parts: Parts) -> Controller {
        let lines = parts.audit.lines_count();
        parts
            .board
            .send_modify(|view| view.counters.audit_lines = lines);
        Controller {
            read: Arc::new(parts.read),
            changes: parts.changes,
            link: parts.link,
            audit: parts.audit,
            board: parts.board,
            published: parts.published,
            seen: None,
            cause: AT_START,
            fixed_at_start: None,
            own_at_start: None,
            pinned: None,
            knows_pin: false,
            owed: None,
            pause: None,
            away_pause: AWAY_PAUSE_MIN,
        }
    }

    /// Works until nothing can give it orders any more.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        self.look().await;
        loop {
            let pause = self.pause_until_next_look();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.carry_out(order).await,
                    None => return,
                },
                () = self.changes.next(pause) => self.look().await,
            }
        }
    }

    fn pause_until_next_look(&self) -> Duration {
        match self.board.borrow().dataplane {
            Dataplane::Away { .. } => self.away_pause.mul_f64(0.75 + fastrand::f64() / 2.0),
            Dataplane::Unknown | Dataplane::Answers => LOOK_EVERY,
        }
    }

    async fn carry_out(&mut self, order: Order) {
        // One that no longer waits for its answer has lost nothing: status shows what happened.
        match order {
            Order::Reload { by, done } => drop(done.send(self.reload(&by).await)),
            Order::Rollback { to, by, done } => drop(done.send(self.rollback(to, &by).await)),
            Order::Document { number, done } => {
                let found = self.link.document(number).await.map_err(Refusal::from);
                drop(done.send(found));
            }
        }
    }

    /// Looks at the configuration and at the data plane, and does what is due.
    async fn look(&mut self) {
        // Where there is no room yet, that was said.
        let _ = self.settle_owed();
        let mut seen = self.read().await;
        if !self.is_as_last(&seen) {
            seen = self.settled(seen).await;
        }
        self.note(seen);
        // What is refused is on the board and in the log.
        let _ = self.reconcile(Asked::Look).await;
    }

    async fn reload(&mut self, by: &Actor) -> Result<OrderResult, Refusal> {
        let seen = self.read().await;
        if !self.note(seen)
            && let Some(Err(mistakes)) = &self.seen
        {
            self.tell_mistakes(mistakes);
        }
        let done = self.reconcile(Asked::Reload(by)).await;
        match &done {
            Ok(outcome) if !outcome.changed => {
                let snapshot = outcome.number;
                let message =
                    format!("reloaded: nothing differs, snapshot {snapshot} stays in force");
                say(ReloadUnchanged { snapshot }, message);
            }
            Ok(_) => {}
            // Mistakes were said one by one.
            Err(Refusal::Wrong(_)) => {}
            Err(refusal) => say(ReloadRefused {}, format!("not reloaded: {refusal}")),
        }
        done
    }

    async fn read(&self) -> Seen {
        let read = Arc::clone(&self.read);
        let seen = tokio::task::spawn_blocking(move || read()).await;
        match seen {
            Ok(seen) => seen.map(Arc::new),
            Err(_) => Err(Mistakes(vec![
                "the configuration could not be read: this is a bug of flk-control".to_owned(),
            ])),
        }
    }

    /// Reads until the configuration reads the same twice.
    async fn settled(&self, mut seen: Seen) -> Seen {
        for _ in 0..SETTLE_READS_MAX {
            tokio::time::sleep(SETTLE).await;
            let again = self.read().await;
            if is_same(&seen, &again) {
                break;
            }
            seen = again;
        }
        seen
    }

    fn is_as_last(&self, seen: &Seen) -> bool {
        self.seen.as_ref().is_some_and(|last| is_same(last, seen))
    }

    /// Keeps what was read; whether it is something else than before, which is said then.
    fn note(&mut self, seen: Seen) -> bool {
        if self.is_as_last(&seen) {
            return false;
        }
        let is_first = self.seen.is_none();
        match &seen {
            Err(mistakes) => self.tell_mistakes(mistakes),
            Ok(desired) => {
                let since = |start: &mut Option<_>, now: &BTreeMap<_, _>, of: &str| {
                    let start = start.get_or_insert_with(|| now.clone());
                    let differ = needs_restart(start, now);
                    for line in differ.iter().take(LINES_MAX) {
                        say(RestartNeeded {}, format!("needs a restart of {of}: {line}"));
                    }
                    differ
                };
                let fixed = since(&mut self.fixed_at_start, &desired.fixed, "the data plane");
                let own = since(&mut self.own_at_start, &desired.own, "flk-control");
                self.board.send_modify(|view| {
                    view.restart_needed = fixed;
                    view.control_restart_needed = own;
                });
            }
        }
        if !is_first {
            self.cause = "file";
        }
        self.seen = Some(seen);
        true
    }

    fn tell_mistakes(&self, mistakes: &Mistakes) {
        for mistake in mistakes.0.iter().take(LINES_MAX) {
            let message =
                format!("the configuration is wrong, and the one in force stays: {mistake}");
            say(ConfigWrong {}, message);
        }
        self.board.send_modify(|view| {
            view.counters.reload_failures += 1;
            view.configuration = Configuration::Wrong {
                mistakes: mistakes.clone(),
            };
        });
    }

    /// Publishes the configuration if it differs from what is in force, unless a rollback or a refusal holds it back.
    async fn reconcile(&mut self, asked: Asked<'_>) -> Result<OrderResult, Refusal> {
        let status = self.status().await?;
        let desired = match &self.seen {
            Some(Ok(desired)) => Arc::clone(desired),
            Some(Err(mistakes)) => return Err(Refusal::Wrong(mistakes.clone())),
            None => return Err(Refusal::Wrong(Mistakes(Vec::new()))),
        };
        let content = desired.document.content_digest().to_string();
        self.recall_pin(&status, &content);
        if content == status.in_force.content {
            (self.pinned, self.pause) = (None, None);
            self.show(Configuration::InForce);
            return Ok(self.unchanged(&status));
        }
        let by = match asked {
            Asked::Reload(by) => by.clone(),
            Asked::Look => {
                let against = self.pinned.as_ref().map(|it| it.against.as_deref());
                if against == Some(Some(content.as_str())) {
                    self.show(Configuration::HeldByRollback);
                    return Ok(self.unchanged(&status));
                }
                if let Some(pause) = &self.pause
                    && pause.holds(&content)
                {
                    return Err(pause.refusal.clone());
                }
                if self.cause == AT_START && status.in_force.number == 0 {
                    let message = "the data plane was started with other settings (an older file, another one, or variables and arguments of its own): what flk-control reads takes their place, and the lines below say what that changes. To keep what the data plane was started with, start both with the same file, variables and arguments";
                    say(StartedOtherwise {}, message);
                }
                Actor::cause(self.cause)
            }
        };
        let published = self.publish(&status, &desired.document, &by, Change::Publish);
        published.await.inspect_err(|refusal| match refusal {
            Refusal::Refused { .. } | Refusal::Audit(_) => {
                let reason = refusal.to_string();
                self.board.send_modify(|view| {
                    view.configuration = Configuration::Refused { reason };
                });
            }
            // Shown where it was found.
            Refusal::Wrong(_) | Refusal::Away(_) | Refusal::Stopping => {}
        })
    }

    async fn rollback(&mut self, to: u32, by: &Actor) -> Result<OrderResult, Refusal> {
        let status = self.status().await?;
        let content = self.link.document(to).await?;
        if content.content_digest().to_string() == status.in_force.content {
            return Ok(self.unchanged(&status));
        }
        let desired = self.seen.as_ref().and_then(|seen| seen.as_ref().ok());
        let against = desired.map(|it| it.document.content_digest().to_string());
        let change = Change::Rollback {
            to,
            against: against.clone(),
        };
        let published = self.publish(&status, &content, by, change).await;
        // Where it is in force all the same, for shards were silent or the answer was lost, it must hold: the line of the
        // audit log and the next status tell.
        let outcome = published.inspect_err(|_| self.knows_pin = false)?;
        let after = content.content_digest().to_string();
        if against.as_ref() != Some(&after) {
            self.pinned = Some(Pinned {
                number: outcome.number,
                rollback_of: to,
                against,
            });
            self.show(Configuration::HeldByRollback);
            let (snapshot, rollback_of) = (outcome.number, to);
            let event = SnapshotRolledBack {
                snapshot,
                rollback_of,
            };
            say(
                event,
                format!(
                    "snapshot {snapshot} is a rollback of {to} and differs from the configuration: it stays until the configuration changes or is reloaded"
                ),
            );
        }
        Ok(outcome)
    }

    /// After a start of control, a rollback that is still in force and whose configuration has not changed still holds.
    fn recall_pin(&mut self, status: &Status, content: &str) {
        if std::mem::replace(&mut self.knows_pin, true) {
            return;
        }
        let Some(line) = self.audit.last_change() else {
            return;
        };
        let number = |name: &str| Some(u32::try_from(line.object[name].as_u64()?).ok());
        if line.action == "rollback"
            && line.after == status.in_force.content
            && line.object["against"].as_str() == Some(content)
            && let (Some(Some(number)), Some(Some(rollback_of))) =
                (number("snapshot"), number("rollback_of"))
        {
            self.pinned = Some(Pinned {
                number,
                rollback_of,
                against: Some(content.to_owned()),
            });
            let event = RollbackHolds {
                snapshot: number,
                rollback_of,
            };
            say(
                event,
                format!("snapshot {number} is a rollback of {rollback_of} and still holds"),
            );
        }
    }

    fn show(&self, configuration: Configuration) {
        let pinned = self.pinned.clone();
        self.board.send_modify(|view| {
            view.configuration = configuration;
            view.pinned = pinned;
        });
    }

    fn unchanged(&self, status: &Status) -> OrderResult {
        let view = self.board.borrow();
        OrderResult {
            changed: false,
            number: status.in_force.number,
            digest: status.in_force.digest.clone(),
            diff: Vec::new(),
            restart_needed: view.restart_needed.clone(),
            control_restart_needed: view.control_restart_needed.clone(),
        }
    }

    /// Asks the data plane; says when it goes and comes.
    async fn status(&mut self) -> Result<Status, Refusal> {
        let asked = self.link.status().await;
        let before = self.board.borrow().dataplane.clone();
        match asked {
            Ok(status) => {
                if before != Dataplane::Answers {
                    let snapshot = status.in_force.number;
                    let message =
                        format!("the data plane answers: snapshot {snapshot} is in force");
                    say(DataplaneAnswers { snapshot }, message);
                }
                if let Dataplane::Away { .. } = before {
                    self.started_again();
                }
                self.away_pause = AWAY_PAUSE_MIN;
                let shown = status.clone();
                self.board.send_modify(|view| {
                    view.dataplane = Dataplane::Answers;
                    view.status = Some(shown);
                });
                Ok(status)
            }
            Err(error) => Err(self.away(error, &before)),
        }
    }

    fn away(&mut self, error: LinkError, before: &Dataplane) -> Refusal {
        let why = error.to_string();
        match before {
            Dataplane::Away { .. } => self.away_pause = (self.away_pause * 2).min(LOOK_EVERY),
            Dataplane::Unknown | Dataplane::Answers => {
                let error = why.clone();
                say(DataplaneAway { error }, format!("{why}; trying again"));
            }
        }
        let shown = why.clone();
        self.board
            .send_modify(|view| view.dataplane = Dataplane::Away { why: shown });
        Refusal::from(error)
    }

    /// A data plane that was away may have been started with the settings as they are now.
    fn started_again(&mut self) {
        if let Some(Ok(desired)) = &self.seen {
            self.fixed_at_start = Some(desired.fixed.clone());
            self.board
                .send_modify(|view| view.restart_needed = Vec::new());
        }
    }
}

/// Whether two readings come to the same.
fn is_same(one: &Seen, other: &Seen) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => {
            one.fixed == other.fixed
                && one.own == other.own
                && diff(&one.document, &other.document).is_empty()
        }
        (Err(one), Err(other)) => one == other,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}
