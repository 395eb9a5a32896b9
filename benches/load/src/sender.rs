//! One sending thread: its connections, its part of the schedule, and what it counted in this second. It sends what is due over the
//! connection that has been free for longest, never sends a request twice, and shares nothing with other threads.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, Event};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::answer::Reading;
use crate::cpu::{CpuUse, used_by_this_thread};
use crate::expected::Worth;
use crate::lines::{Line, Lines};
use crate::record::Carries;
use crate::setup::{Pace, Setup};
use crate::tally::{Counts, Tally, nanoseconds};
use crate::wire::{Phase, Received, UnderWay, Wire};

/// How often connections are looked at that neither send nor receive.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long answers are waited for after the user stopped the run.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// How long to wait at the start until all connections are open or failed.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const INPUT_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 256;

/// Why a request gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Ended,
    Foreign,
    /// The oldest one waited too long, and ends the connection for those behind it.
    TimedOut,
    /// The run is over.
    OutOfTime,
}

pub(crate) struct Sender<'a> {
    setup: Setup,
    stop: &'a AtomicBool,
    stopped_at: Option<Instant>,
    poll: OwnedFd,
    wires: Vec<Wire>,
    free: VecDeque<usize>,
    under_way_count: usize,
    start: Instant,
    second: u64,
    look_at: Instant,
    tally: Tally,
    /// CPU time and wall time when the measurement began, and what was used until its end.
    used_from: Option<(Duration, Instant)>,
    used: Option<CpuUse>,
    input: Vec<u8>,
}

impl<'a> Sender<'a> {
    /// With all connections open that could be opened.
    pub(crate) fn connect(setup: Setup, stop: &'a AtomicBool) -> io::Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let now = Instant::now();
        let mut sender = Self {
            wires: (0..setup.connections_count)
                .map(|_| Wire::new(now))
                .collect(),
            setup,
            stop,
            stopped_at: None,
            poll,
            free: VecDeque::new(),
            under_way_count: 0,
            start: now,
            second: 0,
            look_at: now,
            tally: Tally::new()?,
            used_from: None,
            used: None,
            input: vec![0; INPUT_BYTES],
        };
        sender.reconnect(now);
        while sender.wires.iter().any(Wire::is_connecting) && now.elapsed() < CONNECT_WITHIN {
            sender.wait_at_most(LOOK_EVERY)?;
            sender.receive()?;
        }
        Ok(sender)
    }

    /// Sends until the time is up and all is answered, and hands over what it counted in each second. What the thread used of a
    /// CPU is returned.
    pub(crate) fn run(
        &mut self,
        start: Instant,
        mut each_second: impl FnMut(u64, Tally),
    ) -> io::Result<CpuUse> {
        self.start = start;
        loop {
            let now = Instant::now();
            let second = (now.saturating_duration_since(start)).as_secs();
            if second > self.second {
                each_second(
                    self.second,
                    std::mem::replace(&mut self.tally, Tally::new()?),
                );
                self.second = second;
            }
            self.look(now);
            self.send_due(now);
            if self.is_over(now) {
                break;
            }
            self.wait(now)?;
            self.receive()?;
        }
        self.give_up(Instant::now());
        each_second(
            self.second,
            std::mem::replace(&mut self.tally, Tally::new()?),
        );
        self.note_use(Instant::now());
        Ok(self.used.unwrap_or_default())
    }

    fn end_of_run(&self) -> Instant {
        self.start + self.setup.duration
    }

    /// What is done now and then.
    fn look(&mut self, now: Instant) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK_EVERY;
        if self.stopped_at.is_none() && self.stop.load(Ordering::Relaxed) {
            self.stopped_at = Some(now);
        }
        if self.used_from.is_none() && now >= self.start + self.setup.warm_up {
            self.used_from = Some((used_by_this_thread(), now));
        }
        if now >= self.end_of_run() || self.stopped_at.is_some() {
            self.note_use(now);
        }
        let timeout = self.setup.timeout;
        for index in 0..self.wires.len() {
            let request = self.wires[index].under_way.front();
            if request.is_some_and(|it| now.saturating_duration_since(it.sent) >= timeout) {
                self.lose(index, now, Loss::TimedOut);
            }
        }
        self.reconnect(now);
    }

    fn note_use(&mut self, now: Instant) {
        if let (Some((cpu, at)), None) = (self.used_from, self.used) {
            self.used = Some(CpuUse {
                cpu: used_by_this_thread().saturating_sub(cpu),
                wall: now.saturating_duration_since(at),
            });
        }
    }

    fn reconnect(&mut self, now: Instant) {
        for index in 0..self.wires.len() {
            let wire = &mut self.wires[index];
            if wire.wants_to_connect(now)
                && wire.connect(&self.poll, index, self.setup.address).is_err()
            {
                wire.fail(now);
                self.tally.measured.unconnected += 1;
            }
        }
    }

    /// When the next request is due; none where nothing more is to be sent.
    fn next_due(&mut self, now: Instant) -> Option<Instant> {
        let end = self.end_of_run();
        if self.stopped_at.is_some() {
            return None;
        }
        match &mut self.setup.pace {
            Pace::Open(arrivals) => arrivals.peek().map(|it| self.start + *it),
            Pace::Closed => (now < end).then_some(now),
        }
    }

    fn send_due(&mut self, now: Instant) {
        while let Some(due) = self.next_due(now).filter(|due| *due <= now) {
            let Some(index) = self.take_free() else {
                return;
            };
            let due = match &mut self.setup.pace {
                Pace::Open(arrivals) => {
                    arrivals.next();
                    due
                }
                Pace::Closed => self.wires[index].free_since.max(self.start),
            };
            self.send(index, due);
        }
    }

    fn take_free(&mut self) -> Option<usize> {
        while let Some(index) = self.free.pop_front() {
            let wire = &mut self.wires[index];
            wire.is_listed = false;
            if wire.is_free(self.setup.travel.pipeline as usize) {
                return Some(index);
            }
        }
        None
    }

    /// A connection has room for a request again.
    fn set_free(&mut self, index: usize, now: Instant) {
        let wire = &mut self.wires[index];
        if !wire.is_listed {
            wire.free_since = now;
        }
        self.list_free(index);
    }

    fn list_free(&mut self, index: usize) {
        let wire = &mut self.wires[index];
        if !wire.is_listed {
            wire.is_listed = true;
            self.free.push_back(index);
        }
    }

    fn send(&mut self, index: usize, due: Instant) {
        let phase = match due < self.start + self.setup.warm_up {
            true => Phase::WarmUp,
            false => Phase::Measured,
        };
        let counts = counts_of(&mut self.tally, phase);
        let supply = &mut self.setup.supply;
        let records = supply.next_records(|signed, source| {
            counts.send(signed.order().kind, source);
        });
        let wire = &mut self.wires[index];
        wire.load(&records, &self.setup.recipe);
        let sent = Instant::now();
        if wire.free_since > due {
            counts.waited_for_connection += records.count();
        }
        if phase == Phase::Measured {
            let lag = sent.saturating_duration_since(due.max(wire.free_since));
            self.tally.lag.saturating_record(nanoseconds(lag));
        }
        let due = match self.setup.pace {
            Pace::Open(_) => due,
            Pace::Closed => sent,
        };
        self.under_way_count += 1;
        let request = UnderWay {
            records,
            phase,
            due,
            sent,
        };
        if self.wires[index].begin(&self.poll, index, request).is_err() {
            return self.end(index);
        }
        if self.wires[index].is_free(self.setup.travel.pipeline as usize) {
            self.list_free(index);
        }
    }

    /// Nothing more is to be sent and all is answered, or it was waited for long enough.
    fn is_over(&mut self, now: Instant) -> bool {
        let grace_ends = match self.stopped_at {
            Some(at) => at + STOP_WITHIN.min(self.setup.timeout),
            None => self.end_of_run() + self.setup.timeout,
        };
        let is_done = self.next_due(now).is_none() && self.under_way_count == 0;
        is_done || now >= grace_ends
    }

    /// What has no answer by now will get none, and what was not sent yet stays so. Their latencies are at least the time until
    /// now: without them a run that a gateway could not keep up with would look fast.
    fn give_up(&mut self, now: Instant) {
        for index in 0..self.wires.len() {
            if !self.wires[index].under_way.is_empty() {
                self.lose(index, now, Loss::OutOfTime);
            }
        }
        if self.stopped_at.is_some() {
            return;
        }
        let warm_up = self.setup.warm_up;
        let count = u64::from(self.setup.travel.records);
        if let Pace::Open(arrivals) = &mut self.setup.pace {
            for due in arrivals {
                if due < warm_up {
                    self.tally.warm_up.unanswered.unsent += count;
                    continue;
                }
                self.tally.measured.unanswered.unsent += count;
                let waited = now.saturating_duration_since(self.start + due);
                self.tally.from_due.saturating_record(nanoseconds(waited));
            }
        }
    }

    /// Ends a connection, and the requests on it if there are any.
    fn lose(&mut self, index: usize, now: Instant, loss: Loss) {
        for request in std::mem::take(&mut self.wires[index].under_way) {
            self.under_way_count -= 1;
            let unanswered = &mut counts_of(&mut self.tally, request.phase).unanswered;
            let records = request.records.count();
            let is_late = now.saturating_duration_since(request.sent) >= self.setup.timeout;
            let (count, timed_out) = match loss {
                Loss::OutOfTime => (&mut unanswered.timed_out, true),
                Loss::TimedOut if is_late => (&mut unanswered.timed_out, true),
                Loss::TimedOut | Loss::Ended => (&mut unanswered.lost, false),
                Loss::Foreign => (&mut unanswered.foreign, false),
            };
            *count += records;
            if timed_out && request.phase == Phase::Measured {
                self.record(&request, now);
            }
        }
        self.wires[index].fail(now);
    }

    fn record(&mut self, request: &UnderWay, now: Instant) {
        let since = |from: Instant| nanoseconds(now.saturating_duration_since(from));
        self.tally.from_due.saturating_record(since(request.due));
        self.tally.from_sent.saturating_record(since(request.sent));
    }

    /// Waits until something is due, if it can be sent, or an answer comes.
    fn wait(&mut self, now: Instant) -> io::Result<()> {
        let due = match self.free.is_empty() {
            true => None,
            false => self.next_due(now),
        };
        let pause = due.map_or(LOOK_EVERY, |it| it.saturating_duration_since(now));
        self.wait_at_most(pause.min(LOOK_EVERY))
    }

    /// Sleeps until there is something to receive. `poll` counts in nanoseconds, where `epoll_wait` would round up to milliseconds.
    fn wait_at_most(&mut self, time: Duration) -> io::Result<()> {
        let mut ready = [PollFd::new(&self.poll, PollFlags::IN)];
        match poll(&mut ready, Some(&timespec(time))) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.poll, spare, Some(&timespec(Duration::ZERO))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            self.serve(event.data.u64() as usize);
        }
        Ok(())
    }

    /// Something happened on a connection.
    fn serve(&mut self, index: usize) {
        let wire = &mut self.wires[index];
        if wire.is_connecting() {
            let opened = wire.finish_connecting(&self.poll, index);
            let now = Instant::now();
            match opened {
                Ok(()) => {
                    wire.free_since = now;
                    self.list_free(index);
                }
                Err(_) => {
                    wire.fail(now);
                    self.tally.measured.unconnected += 1;
                }
            }
            return;
        }
        if wire.has_more_to_write() && wire.write(&self.poll, index).is_err() {
            return self.end(index);
        }
        match self.wires[index].read(&mut self.input) {
            Received::Nothing => {}
            Received::Bytes => self.take_answers(index),
            Received::Ended => {
                self.lose(index, Instant::now(), Loss::Ended);
            }
        }
    }

    /// A connection takes no more requests. Answers that have arrived count all the same.
    fn end(&mut self, index: usize) {
        while let Received::Bytes = self.wires[index].read(&mut self.input) {
            self.take_answers(index);
        }
        if !self.wires[index].is_down() {
            self.lose(index, Instant::now(), Loss::Ended);
        }
    }

    fn take_answers(&mut self, index: usize) {
        let now = Instant::now();
        loop {
            let wire = &mut self.wires[index];
            let answer = match wire.answer() {
                Reading::Whole(answer) => answer,
                Reading::Partial => return,
                Reading::Foreign => return self.lose(index, now, Loss::Foreign),
            };
            let records = wire.under_way.front().map_or(0, |it| it.records.count());
            let is_batch = self.setup.recipe.carries() == Carries::Batch;
            let lines = match is_batch && answer.status == 200 {
                true => Lines::of_batch(wire.body(&answer), records),
                false => Some(Lines::of_all(answer.status, answer.dedup)),
            };
            let Some(lines) = lines else {
                return self.lose(index, now, Loss::Foreign);
            };
            let Some(request) = wire.take(&answer) else {
                return;
            };
            self.answered(&request, &lines, now);
            match answer.closes {
                // No gateway answers what stands behind that.
                true if !self.wires[index].under_way.is_empty() => {
                    return self.lose(index, now, Loss::Ended);
                }
                true => return self.wires[index].leave(now),
                false => self.set_free(index, now),
            }
        }
    }

    fn answered(&mut self, request: &UnderWay, lines: &Lines, now: Instant) {
        self.under_way_count -= 1;
        let is_in_time = now >= self.start + self.setup.warm_up && now <= self.end_of_run();
        for (at, signed) in request.records.iter().enumerate() {
            let Line { status, dedup, .. } = lines.of(at);
            let counts = counts_of(&mut self.tally, request.phase);
            let worth = counts.answer(signed.order().kind, status, dedup);
            // By when it came, whatever part of the run asked for it: a deep pipeline has seconds of requests under way.
            let counts_for_rate = is_in_time && worth == Worth::AsExpected;
            self.tally.measured.expected_in_time += u64::from(counts_for_rate);
            if worth == Worth::AsExpected {
                self.setup.supply.was_kept(signed);
            }
        }
        if request.phase == Phase::Measured {
            self.record(request, now);
        }
    }
}

fn counts_of(tally: &mut Tally, phase: Phase) -> &mut Counts {
    match phase {
        Phase::WarmUp => &mut tally.warm_up,
        Phase::Measured => &mut tally.measured,
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}
