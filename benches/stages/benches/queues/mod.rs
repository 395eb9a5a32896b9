//! Queues between two shards: what it costs to hand over the messages of a turn and to take them, in one thread, where no
//! cache line travels, and from one thread to another.

use criterion::Criterion;
use crossbeam::channel;
use crossbeam::queue::ArrayQueue;
use flk_dataplane::dedup::protocol::{Ticket, ToReceiver};
use flk_dataplane::mesh::Message;
use std::hint::black_box;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Room in each queue.
const ROOM: usize = 4096;
/// Messages of one turn.
const BATCH: usize = 32;

/// A queue as its two ends.
trait Queue {
    /// The end that is written to.
    type To: Send;
    /// The end that is read from.
    type From;
    /// Its name.
    const NAME: &'static str;

    fn ends() -> (Self::To, Self::From);
    /// How many of these there was room for.
    fn push(to: &mut Self::To, messages: &[Message]) -> usize;
    /// Takes what there is; how many there were.
    fn take(from: &mut Self::From) -> usize;
}

/// What the mesh is made of.
struct Rtrb;

impl Queue for Rtrb {
    type To = rtrb::Producer<Message>;
    type From = rtrb::Consumer<Message>;
    const NAME: &'static str = "rtrb";

    fn ends() -> (Self::To, Self::From) {
        rtrb::RingBuffer::new(ROOM)
    }

    fn push(to: &mut Self::To, messages: &[Message]) -> usize {
        let count = messages.len().min(to.slots());
        to.push_entire_slice(&messages[..count]).unwrap();
        count
    }

    fn take(from: &mut Self::From) -> usize {
        let chunk = from.read_chunk(from.slots()).unwrap();
        chunk.into_iter().map(black_box).count()
    }
}

struct CrossbeamArrayQueue;

impl Queue for CrossbeamArrayQueue {
    type To = Arc<ArrayQueue<Message>>;
    type From = Arc<ArrayQueue<Message>>;
    const NAME: &'static str = "crossbeam-array-queue";

    fn ends() -> (Self::To, Self::From) {
        let queue = Arc::new(ArrayQueue::new(ROOM));
        (Arc::clone(&queue), queue)
    }

    fn push(to: &mut Self::To, messages: &[Message]) -> usize {
        messages
            .iter()
            .take_while(|it| to.push(**it).is_ok())
            .count()
    }

    fn take(from: &mut Self::From) -> usize {
        std::iter::from_fn(|| from.pop()).map(black_box).count()
    }
}

struct CrossbeamChannel;

impl Queue for CrossbeamChannel {
    type To = channel::Sender<Message>;
    type From = channel::Receiver<Message>;
    const NAME: &'static str = "crossbeam-channel";

    fn ends() -> (Self::To, Self::From) {
        channel::bounded(ROOM)
    }

    fn push(to: &mut Self::To, messages: &[Message]) -> usize {
        messages
            .iter()
            .take_while(|it| to.try_send(**it).is_ok())
            .count()
    }

    fn take(from: &mut Self::From) -> usize {
        from.try_iter().map(black_box).count()
    }
}

struct StdChannel;

impl Queue for StdChannel {
    type To = mpsc::SyncSender<Message>;
    type From = mpsc::Receiver<Message>;
    const NAME: &'static str = "std-sync-channel";

    fn ends() -> (Self::To, Self::From) {
        mpsc::sync_channel(ROOM)
    }

    fn push(to: &mut Self::To, messages: &[Message]) -> usize {
        messages
            .iter()
            .take_while(|it| to.try_send(**it).is_ok())
            .count()
    }

    fn take(from: &mut Self::From) -> usize {
        from.try_iter().map(black_box).count()
    }
}

/// All queues both ways.
pub(crate) fn bench(criterion: &mut Criterion) {
    bench_one::<Rtrb>(criterion);
    bench_one::<CrossbeamArrayQueue>(criterion);
    bench_one::<CrossbeamChannel>(criterion);
    bench_one::<StdChannel>(criterion);
}

fn bench_one<Q: Queue>(criterion: &mut Criterion) {
    let batch = [message(); BATCH];
    let name = |way: &str| format!("queue/{}/{way}/batch={BATCH}", Q::NAME);
    criterion.bench_function(&name("one-thread"), |bencher| {
        let (mut to, mut from) = Q::ends();
        bencher.iter(|| {
            assert_eq!(Q::push(&mut to, black_box(&batch)), BATCH);
            assert_eq!(Q::take(&mut from), BATCH);
        });
    });
    criterion.bench_function(&name("two-threads"), |bencher| {
        bencher.iter_custom(|batches| transfer::<Q>(&batch, batches));
    });
}

/// The time in which so many batches go from one thread to another.
fn transfer<Q: Queue>(batch: &[Message], batches: u64) -> Duration {
    let (mut to, mut from) = Q::ends();
    let mut left = batches * batch.len() as u64;
    std::thread::scope(|scope| {
        let started = Instant::now();
        scope.spawn(move || {
            for _ in 0..batches {
                let mut rest = batch;
                while !rest.is_empty() {
                    rest = &rest[Q::push(&mut to, rest)..];
                    std::hint::spin_loop();
                }
            }
        });
        while left > 0 {
            left -= Q::take(&mut from) as u64;
            std::hint::spin_loop();
        }
        started.elapsed()
    })
}

fn message() -> Message {
    let ticket = Ticket {
        slot: 1,
        generation: 2,
    };
    Message::ToReceiver(ToReceiver::Withdrawn { ticket })
}
