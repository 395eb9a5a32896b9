//! One publishing from the number to the answer. Its order is the promise of the audit log: checked, recorded and synced, and
//! only then sent.

use super::{Controller, LINES_MAX, OrderResult, Refusal};
use crate::audit::{Action, AuditError, Entry};
use crate::diff::diff;
use crate::events::{
    AuditOwes, AuditSettled, SnapshotChange, SnapshotChangesMore, SnapshotPublished,
    SnapshotRefused,
};
use crate::link::{LinkError, word};
use crate::say::say;
use crate::tokens::Actor;
use crate::view::Configuration;
use flk_dataplane::driver::agent::protocol::{Code, Status};
use flk_dataplane::snapshot::Document;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};

/// What kind of publishing it is.
pub(super) enum Change {
    /// The configuration.
    Publish,
    /// An earlier snapshot.
    Rollback {
        /// Its number.
        to: u32,
        /// Content digest of the configuration that it holds against.
        against: Option<String>,
    },
}

impl Change {
    fn action(&self) -> Action {
        match self {
            Change::Publish => Action::Publish,
            Change::Rollback { .. } => Action::Rollback,
        }
    }

    fn object(&self, number: u32) -> Value {
        match self {
            Change::Publish => json!({"snapshot": number}),
            Change::Rollback { to, against } => {
                json!({"snapshot": number, "rollback_of": to, "against": against})
            }
        }
    }
}

/// A refusal, and until when the same content is not tried again without being asked to.
pub(super) struct Pause {
    content: String,
    pub(super) refusal: Refusal,
    until: Instant,
    length: Duration,
}

/// The refusal of a change whose line is in the audit log already.
pub(super) struct Owed {
    entry: Entry,
    /// When it was refused.
    at: SystemTime,
    /// Whether it was said that it is owed.
    is_said: bool,
}

const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl Pause {
    pub(super) fn holds(&self, content: &str) -> bool {
        self.content == content && Instant::now() < self.until
    }

    /// The pause behind another refusal: longer for the same content.
    fn behind(earlier: Option<&Pause>, content: String, refusal: Refusal) -> Pause {
        let length = match earlier {
            Some(earlier) if earlier.content == content => (earlier.length * 2).min(PAUSE_MAX),
            Some(_) | None => PAUSE_MIN,
        };
        Pause {
            content,
            refusal,
            until: Instant::now() + length,
            length,
        }
    }
}

impl Controller {
    /// Publishes this content under the next number.
    pub(super) async fn publish(
        &mut self,
        status: &Status,
        content: &Document,
        by: &Actor,
        change: Change,
    ) -> Result<OrderResult, Refusal> {
        let done = self.try_publish(status, content, by, &change).await;
        if let Err(refusal @ (Refusal::Refused { .. } | Refusal::Audit(_))) = &done {
            let content = content.content_digest().to_string();
            let is_known = self.pause.as_ref().is_some_and(|it| it.refusal == *refusal);
            if !is_known {
                say(SnapshotRefused {}, format!("not published: {refusal}"));
            }
            self.board.send_modify(|view| view.counters.refused += 1);
            self.pause = Some(Pause::behind(self.pause.as_ref(), content, refusal.clone()));
        }
        done
    }

    async fn try_publish(
        &mut self,
        status: &Status,
        content: &Document,
        by: &Actor,
        change: &Change,
    ) -> Result<OrderResult, Refusal> {
        let before = self.link.document(status.in_force.number).await?;
        let Some(number) = status.last_number.checked_add(1) else {
            return Err(Refusal::Refused {
                code: Code::NumberUsed,
                reason: "the numbers of snapshots are used up".to_owned(),
            });
        };
        let document = Document {
            number,
            ..content.clone()
        };
        let digest = document.digest();
        self.link.check(&document).await?;
        let after = content.content_digest().to_string();
        let entry = Entry {
            actor: by.clone(),
            action: change.action(),
            object: change.object(number),
            before: status.in_force.content.clone(),
            after,
        };
        self.settle_owed()?;
        self.record(&entry, SystemTime::now())?;
        if let Err(error) = self.link.publish(&document, digest).await {
            self.owe_refusal(entry, &error);
            // Where it cannot be recorded now, that was said.
            let _ = self.settle_owed();
            return Err(error.into());
        }
        // Shown before it is said: a reader of the log finds what it says.
        self.applied().await;
        let lines = diff(&before, &document);
        tell(status.in_force.number, number, by, &lines);
        self.published.send_replace(Some(number));
        Ok(OrderResult {
            changed: true,
            digest: digest.to_string(),
            diff: lines,
            number,
            ..self.unchanged(status)
        })
    }

    fn record(&mut self, entry: &Entry, at: SystemTime) -> Result<(), AuditError> {
        self.audit.append(entry, at)?;
        let lines = self.audit.lines_count();
        self.board
            .send_modify(|view| view.counters.audit_lines = lines);
        Ok(())
    }

    /// The line that was recorded is to be followed by one that takes it back. A data plane that ended in between may have taken
    /// the snapshot or not, and one whose shards are silent has taken it, so nothing is recorded then: what its next status
    /// says is compared anyway.
    fn owe_refusal(&mut self, entry: Entry, error: &LinkError) {
        let LinkError::Refused { code, reason } = error else {
            return;
        };
        if *code == Code::ShardsSilent {
            return;
        }
        let mut object = entry.object;
        object["code"] = json!(word(*code));
        object["reason"] = json!(reason);
        let entry = Entry {
            action: Action::Refused,
            object,
            after: entry.before.clone(),
            ..entry
        };
        let at = SystemTime::now();
        let is_said = false;
        self.owed = Some(Owed { entry, at, is_said });
    }

    /// Records the refusal that the audit log owes, if there is one. Until that succeeds no other change is made: the line
    /// behind the one that was refused must take it back.
    pub(super) fn settle_owed(&mut self) -> Result<(), AuditError> {
        let Some(mut owed) = self.owed.take() else {
            return Ok(());
        };
        let settled = self.record(&owed.entry, owed.at);
        match (&settled, owed.is_said) {
            (Ok(()), true) => {
                let message = "the refusal that the audit log owed is recorded now";
                say(AuditSettled {}, message);
            }
            (Err(error), false) => {
                let message = format!(
                    "audit log: {error}; its last line is of a change that was refused, and the line that says so follows before any other change"
                );
                say(AuditOwes {}, message);
            }
            (Ok(()), false) | (Err(_), true) => {}
        }
        if settled.is_err() {
            owed.is_said = true;
            self.owed = Some(owed);
        }
        settled
    }

    async fn applied(&mut self) {
        (self.pinned, self.pause) = (None, None);
        let status = self.link.status().await;
        self.board.send_modify(|view| {
            view.counters.published += 1;
            view.suspect = Vec::new();
            view.pinned = None;
            view.configuration = Configuration::InForce;
            // A data plane that has just gone is found gone at the next look.
            if let Ok(status) = status {
                view.status = Some(status);
            }
        });
    }
}

/// Says what came into force.
fn tell(snapshot_before: u32, snapshot: u32, by: &Actor, lines: &[String]) {
    let event = SnapshotPublished {
        snapshot,
        snapshot_before,
        actor: by.name.clone(),
    };
    let actor = &by.name;
    say(
        event,
        format!("snapshot {snapshot} is in force, {snapshot_before} was (by {actor})"),
    );
    for line in lines.iter().take(LINES_MAX) {
        say(SnapshotChange { snapshot }, line);
    }
    if lines.len() > LINES_MAX {
        let changes_count = lines.len() - LINES_MAX;
        let event = SnapshotChangesMore {
            snapshot,
            changes_count,
        };
        say(
            event,
            format!("and {changes_count} more; flk config history {snapshot} shows the snapshot"),
        );
    }
}
