//! Instructions that a request costs in a shard, from the bytes of the head to those of the answer: without the kernel,
//! sockets or files. `cargo run --release --example record_path` runs itself under valgrind, which counts them exactly, so
//! that two commits can be compared on a busy machine. (valgrind offers no SHA instructions: hashing counts more than it
//! takes.)
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measuring program: it works or says why it does not

#[path = "../tests/by_hand/mod.rs"]
mod by_hand;

use by_hand::{ByHand, CONNECTIONS, requests};
use std::process::Command;

/// Rounds of requests before those that are counted, so that tables and buffers have their size.
const WARM_UP_ROUNDS: usize = 100;
/// Rounds that are counted.
const ROUNDS: usize = 100;

fn main() {
    match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => {
            println!("kind        instructions per request");
            for kind in ["new", "duplicate", "new-share"] {
                let all = counted(kind, WARM_UP_ROUNDS + ROUNDS);
                let warm_up = counted(kind, WARM_UP_ROUNDS);
                let requests = ROUNDS as u64 * u64::from(CONNECTIONS);
                println!("{kind:<10} {:>8}", (all - warm_up) / requests);
            }
        }
        [kind, rounds] => serve(kind, rounds.parse().expect("a number of rounds")),
        _ => panic!("usage: record_path"),
    }
}

/// Sends that many rounds. The requests of all rounds are made whatever is sent, so that making them cancels out.
fn serve(kind: &str, rounds: usize) {
    let ids = (WARM_UP_ROUNDS + ROUNDS) as u64 * u64::from(CONNECTIONS);
    let requests = requests(0..ids);
    // "new-share": of a tenant that may fill half of a batch, which it does not reach.
    let share = kind.strip_suffix("-share").map(|_| 50);
    let mut shard = ByHand::new(share);
    let mut all = requests.chunks(CONNECTIONS as usize);
    let first = all.next().unwrap();
    shard.round(first);
    for round in all.take(rounds - 1) {
        shard.round(if kind == "duplicate" { first } else { round });
    }
    assert_eq!(
        shard.answered_200,
        rounds as u64 * u64::from(CONNECTIONS),
        "every request is answered 200"
    );
}

/// Instructions of this program with that many rounds.
fn counted(kind: &str, rounds: usize) -> u64 {
    let program = std::env::current_exe().unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([kind, &rounds.to_string()])
        .output()
        .expect("valgrind runs (Debian package valgrind)");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let collected = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    collected.unwrap().1.trim().parse().unwrap()
}
