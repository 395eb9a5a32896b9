//! Whether a system does what its line of the table says: right answers before it is measured, and where that is asked for, a sync
//! for each acknowledgement and nothing lost after a kill. It judges answers and system calls, never times.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use flk_bench_load::Load;
use flk_bench_load::cpu::Affinity;
use flk_bench_load::stock::Request;
use flk_testkit::child::Signal;
use flk_testkit::client::Response;
use flk_testkit::process::Process;

use super::descriptors;
use super::systems::{Promise, Running, System};
use crate::level;
use crate::options::Options;
use crate::scrape::WalCounters;
use crate::server::KEY;
use crate::tree;

/// Records that are sent one after the other while system calls are counted.
const SINGLES_COUNT: u64 = 20;
/// Records that are sent over many connections before the kill.
const CROWD_COUNT: usize = 2_000;
const CROWD_CONNECTIONS_COUNT: usize = 64;
/// A tracer attaches within this time.
const ATTACH_MAX: Duration = Duration::from_secs(30);
/// Calls that make what was written durable.
const SYNCS: &str = "fsync,fdatasync";

/// A new record, the same again, and one that is signed by another key.
pub(super) fn check_answers(running: &Running, records_used: &mut u64) -> io::Result<()> {
    let (first, second) = (*records_used, *records_used + 1);
    *records_used += 2;
    let new = post(running, KEY, first)?;
    expect("a new record", &new, 200, Some("miss"))?;
    let again = post(running, KEY, first)?;
    expect("the same again", &again, 200, Some("hit"))?;
    if again.body != new.body {
        return Err(io::Error::other(
            "a duplicate gets another answer than the first",
        ));
    }
    let forged = post(running, "another key", second)?;
    expect("a record of another key", &forged, 401, None)?;
    let signed = post(running, KEY, second)?;
    expect("the same, signed", &signed, 200, Some("miss"))
}

/// Counts syncs, then kills server and store and starts them again: what was acknowledged has to be there.
pub(super) fn check_durability(
    system: &System,
    running: Running,
    options: &Options,
    allowed: &Affinity,
    mut records_used: u64,
) -> io::Result<String> {
    let syncs = match system.promise {
        Promise::OwnShard => check_log_writes(&running, &mut records_used)?,
        promise => check_syncs(promise, &running, &mut records_used)?,
    };
    if matches!(system.promise, Promise::Weaker | Promise::Nothing) {
        running.stop();
        return Ok(syncs);
    }
    let first = records_used;
    let mut stock = level::sign(CROWD_COUNT, allowed, &mut records_used)?;
    let address = running.server.running.address();
    let mut load = Load::connect(address, CROWD_CONNECTIONS_COUNT)?;
    let crowd = load.run(&mut stock, Duration::from_secs(60))?;
    if crowd.count_of(200) != CROWD_COUNT as u64 {
        let text = crowd.answers_text();
        return Err(io::Error::other(format!(
            "{text} instead of {CROWD_COUNT} times 200"
        )));
    }
    let kept = running.kill();
    let running = system.start_again(options, allowed, kept)?;
    let mut connection = running.server.running.connect();
    for number in first..first + CROWD_COUNT as u64 {
        let request = Request::with_record("peer", KEY.as_bytes(), number);
        let answer = connection.post(request.body())?;
        expect(
            "an acknowledged record after a kill",
            &answer,
            200,
            Some("hit"),
        )?;
    }
    running.stop();
    Ok(format!(
        "{syncs}; {CROWD_COUNT} acknowledged records were there after kill -9"
    ))
}

/// One record at a time: none may share its sync with another one.
fn check_syncs(promise: Promise, running: &Running, records_used: &mut u64) -> io::Result<String> {
    let roots = [
        Some(running.server.running.id()),
        running.kept.store().and_then(|it| it.id()),
    ];
    let mut ids = Vec::new();
    for root in roots.into_iter().flatten() {
        ids.extend(tree::ids(root)?);
    }
    let Some(mut tracer) = trace(&ids)? else {
        let what = "syncs are not counted: no strace, or it may not trace";
        flk_testkit::skipped(&format!("bench-peers --check: {what}"));
        return Ok(what.to_owned());
    };
    send_singles(running, records_used)?;
    tracer.signal(Signal::INT);
    let said = tracer.ended(ATTACH_MAX).said;
    let syncs_count = syncs_in(&said);
    let text = format!("{syncs_count} syncs for {SINGLES_COUNT} records one after the other");
    match (promise, syncs_count >= SINGLES_COUNT) {
        (Promise::Synced, false) => Err(io::Error::other(format!(
            "{text}: it answers before it syncs"
        ))),
        (Promise::Weaker | Promise::Nothing, true) => Err(io::Error::other(format!(
            "{text}: it promises more than the table says"
        ))),
        _ => Ok(text),
    }
}

/// The same where a ring writes, which no tracer sees: log writes as the shard counts them, through descriptors that do not return
/// before the device has what was written.
fn check_log_writes(running: &Running, records_used: &mut u64) -> io::Result<String> {
    let server = &running.server.running;
    let counters = || {
        WalCounters::of(server)
            .ok_or_else(|| io::Error::other("a gateway without counters of its log"))
    };
    let before = counters()?;
    send_singles(running, records_used)?;
    let writes_count = counters()?.since(before).syncs_count;
    let found = descriptors::of_segments(server.id())?;
    let text = format!(
        "{writes_count} durable log writes for {SINGLES_COUNT} records one after the other, {} descriptors of segments with O_DSYNC",
        found.durable_count
    );
    if writes_count < SINGLES_COUNT as f64 {
        return Err(io::Error::other(format!(
            "{text}: it answers before it syncs"
        )));
    }
    if found.durable_count == 0 || found.others_count > 0 {
        return Err(io::Error::other(format!(
            "{text}, and {} without: the log may be written through one of them; use a file system that takes direct writes",
            found.others_count
        )));
    }
    Ok(text)
}

/// One after the other, each on a connection of its own.
fn send_singles(running: &Running, records_used: &mut u64) -> io::Result<()> {
    for number in *records_used..*records_used + SINGLES_COUNT {
        let answer = post(running, KEY, number)?;
        expect("a new record", &answer, 200, Some("miss"))?;
    }
    *records_used += SINGLES_COUNT;
    Ok(())
}

/// A tracer of these processes, their threads and children; none where there is no strace, or it may not trace.
fn trace(ids: &[u32]) -> io::Result<Option<Process>> {
    let mut command = Command::new("strace");
    command.args(["-f", "-e", &format!("trace={SYNCS}")]);
    for id in ids {
        command.args(["-p", &id.to_string()]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let process = match Process::start(command) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        started => started?,
    };
    let all_attached = |said: &str| (said.matches(" attached").count() >= ids.len()).then_some(());
    let is_attached = process.lines().wait_for(ATTACH_MAX, all_attached).is_some();
    Ok(is_attached.then_some(process))
}

/// Calls that succeeded. One that another thread interrupts has its result in a line of its own.
fn syncs_in(said: &str) -> u64 {
    let calls = SYNCS.split(',');
    let is_sync = |line: &str| {
        line.ends_with("= 0")
            && calls.clone().any(|call| {
                line.contains(&format!("{call}(")) || line.contains(&format!("{call} resumed"))
            })
    };
    said.lines().filter(|line| is_sync(line)).count() as u64
}

fn post(running: &Running, key: &str, number: u64) -> io::Result<Response> {
    let request = Request::with_record("peer", key.as_bytes(), number);
    running.server.running.connect().post(request.body())
}

fn expect(what: &str, answer: &Response, status: u16, dedup: Option<&str>) -> io::Result<()> {
    if (answer.status, answer.dedup()) == (status, dedup) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{what} gets {} {:?} instead of {status} {dedup:?}",
        answer.status,
        answer.dedup()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_is_counted_once_and_only_where_it_succeeded() {
        let said = "strace: Process 7 attached\n\
            [pid 7] fdatasync(5)                     = 0\n\
            [pid 8] fsync(5 <unfinished ...>\n\
            [pid 7] fdatasync(6) = -1 EIO (Input/output error)\n\
            [pid 8] <... fsync resumed>)             = 0\n\
            strace: Process 7 detached\n";
        assert_eq!(syncs_in(said), 2);
    }
}
