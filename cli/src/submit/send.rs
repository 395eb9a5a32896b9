//! The senders: one task per request in flight, each with its own connection. A task takes the next record, sends it until
//! it is answered or given up, and passes the answer on. All tasks run on one thread.

use crate::submit::attempt::{judge, no_reply, too_long};
use crate::submit::batch::{gather, send_many};
use crate::submit::client::{Connection, NoReply, Sending};
use crate::submit::reader::Item;
use crate::submit::report::Sent;
use crate::submit::shared::{Shared, pass_gate};
use crate::submit::show::Shown;
use crate::submit::stop::Why;
use hyper::body::Bytes;
use std::rc::Rc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Sends all records of the input. After a stop it finishes the requests in flight; [`Shared::end`] counts the rest.
pub(super) async fn send_all(shared: &Rc<Shared>) {
    let mut tasks = JoinSet::new();
    tokio::select! {
        biased;
        () = shared.stop.begun() => {}
        () = dispatch(shared, &mut tasks) => {}
    }
    shared.closed.set(true);
    shared.idle.borrow_mut().clear();
    while tasks.join_next().await.is_some() {}
}

/// Gives records to idle tasks, and starts further tasks up to the limit.
async fn dispatch(shared: &Rc<Shared>, tasks: &mut JoinSet<()>) {
    while let Some(item) = shared.receive().await {
        // an idle task waits for nothing else, so it takes the record
        let resting = shared.idle.borrow_mut().pop();
        let item = match resting {
            Some(resting) => resting.send(item).err(),
            None => Some(item),
        };
        let Some(item) = item else { continue };
        if tasks.len() < usize::from(shared.plan.concurrency) {
            tasks.spawn_local(task(shared.clone(), item));
        } else {
            shared.pending.borrow_mut().push_back(item);
            shared.pending_taken.notified().await;
        }
    }
}

/// One task with its connection.
async fn task(shared: Rc<Shared>, first: Item) {
    let mut connection = Connection::new(shared.plan.template.clone());
    let mut next = Some(first);
    loop {
        let Some(item) = next.take().or_else(|| shared.next()) else {
            if shared.closed.get() {
                return;
            }
            let (work, rest) = oneshot::channel();
            shared.idle.borrow_mut().push(work);
            match rest.await {
                Ok(item) => next = Some(item),
                Err(_) => return,
            }
            continue;
        };
        if shared.stop.has_begun() {
            shared.tally.borrow_mut().leave_out(item.line);
            continue;
        }
        if shared.plan.batch > 1 {
            let items = gather(&shared, item).await;
            let all = send_many(&shared, &mut connection, &items).await;
            for (item, sent) in items.iter().zip(all) {
                done(&shared, item, sent);
            }
            continue;
        }
        let sent = match &item.body {
            Ok(body) => send(&shared, &mut connection, item.line, body).await,
            Err(bytes_count) => too_long(item.line, *bytes_count),
        };
        done(&shared, &item, sent);
    }
}

/// A record has its result: it is counted and shown.
fn done(shared: &Shared, item: &Item, sent: Sent) {
    if !sent.word.is_answer() && !shared.plan.keep_going {
        shared.stop.begin(Why::Unanswered);
    }
    shared.tally.borrow_mut().add(&sent, item.window_bytes);
    let shown = Shown {
        index: item.index,
        window_bytes: item.window_bytes,
        sent,
    };
    // the receiver lives until the last sender is gone
    shared.to_show.send(shown).ok();
}

/// Sends one record until it is answered or given up.
async fn send(shared: &Shared, connection: &mut Connection, line: u64, body: &Bytes) -> Sent {
    let mut sent = Sent::nothing(line);
    let begun = Instant::now();
    let give_up = begun + shared.plan.wait;
    let sending = Sending::Record(body.clone());
    loop {
        if !pass_gate(shared).await {
            return sent;
        }
        let answer = tokio::select! {
            biased;
            answer = connection.send(&sending) => answer,
            () = shared.stop.abandoned() => Err(NoReply::Interrupted),
        };
        let pause = match answer {
            Ok(reply) => judge(shared, &mut sent, reply, body, give_up),
            Err(why) => no_reply(shared, &mut sent, &why, connection.may_have_sent()),
        };
        let Some(pause) = pause else { return sent };
        tokio::select! {
            biased;
            () = shared.stop.begun() => return sent,
            () = sleep_until(Instant::now() + pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::client::Template;
    use crate::submit::retry::Retry;
    use crate::submit::shared::Plan;
    use crate::submit::stop::SendStop;
    use crate::submit::target::Target;
    use std::time::Duration;
    use tokio::sync::mpsc::unbounded_channel;

    fn item(line: u64) -> Item {
        Item {
            index: line - 1,
            line,
            body: Ok(Bytes::from_static(b"{}")),
            window_bytes: 2,
        }
    }

    #[tokio::test]
    async fn records_read_while_the_sending_stopped_count_as_not_sent() {
        let target = Target::parse("http://127.0.0.1:9").unwrap();
        let plan = Plan {
            template: Rc::new(Template::new(target, None, Duration::from_secs(1))),
            retry: Retry::with_attempts(1),
            concurrency: 1,
            batch: 1,
            wait: Duration::ZERO,
            keep_going: false,
        };
        let (to_send, items) = unbounded_channel();
        let (to_show, _shown) = std::sync::mpsc::channel();
        let stop = SendStop::new();
        stop.begin(Why::OutputClosed);
        let shared = Rc::new(Shared::new(plan, stop.clone(), items, to_show));
        to_send.send(item(1)).unwrap();
        send_all(&shared).await;
        // The reader does not know yet, or was between two steps.
        to_send.send(item(2)).unwrap();
        to_send.send(item(3)).unwrap();
        drop(to_send);
        let (lines, _) = shared.end().end(&crate::submit::tally::End {
            url: "http://127.0.0.1:9",
            elapsed: Duration::from_secs(1),
            why: stop.why(),
            rest: &crate::submit::reader::Rest::default(),
        });
        assert!(
            lines
                .iter()
                .any(|line| line.contains("3 not sent; send again from input line 1 on")),
            "{lines:?}"
        );
    }
}
