//! Which stage a sample belongs to, by the names of its functions. Names that nothing here knows are `other`, so that the sum is whole.

/// A stage, and parts of the names of functions that it consists of. The first one that a name of the stack has, from the innermost
/// function on, counts: a copy within a stage belongs to that stage. The order is that of a request.
const STAGES: [(&str, &[&str]); 14] = [
    (
        "kernel: receive",
        &["io_recv", "io_poll_task_func", "io_poll_wake"],
    ),
    ("kernel: send, with delivery to the client", &["io_send"]),
    (
        "kernel: log write and sync",
        &["io_write", "io_fsync", "blk_", "virtio", "iomap", "ext4"],
    ),
    (
        "kernel: rest of io_uring, waits and interrupts",
        &[
            "io_uring_enter",
            "entry_SYSCALL",
            "asm_sysvec",
            "asm_common_interrupt",
            "ret_from_fork",
        ],
    ),
    ("driver", &["driver::uring", "io_uring::"]),
    (
        "framing",
        &[
            "dataplane::http",
            "shard::frame",
            "shard::collect",
            "shard::received",
            "shard::waiting",
        ],
    ),
    (
        "append to the log",
        &["shard::admit", "wal::", "crc32c", "shard::commit"],
    ),
    ("parse", &["flk_contract::parse", "simd_json"]),
    (
        "signature",
        &[
            "flk_contract::signature",
            "flk_contract::hash",
            "flk_contract::canonical",
            "flk_contract::authenticate",
            "sha2",
            "hmac",
            "base64",
            "flk_contract::number",
        ],
    ),
    (
        "identity and outcome",
        &[
            "flk_contract::identity",
            "flk_contract::signals",
            "flk_contract::judge",
            "flk_contract::outcome",
            "flk_contract::regime",
        ],
    ),
    (
        "claim and durable decision",
        &["dedup::", "siphasher", "shard::decide", "shard::flights"],
    ),
    ("reply", &["shard::reply", "shard::answer", "shard::owed"]),
    ("rest of a turn", &["flk_dataplane", "flk_contract"]),
    ("other", &[]),
];

/// The stacks of a thread, without its name, and how many samples each has.
pub(super) fn stacks(folded: &str, thread: &str) -> Vec<(String, u64)> {
    let of_thread = folded.lines().filter_map(|line| {
        let (stack, count) = line.rsplit_once(' ')?;
        let frames = stack.strip_prefix(thread)?.strip_prefix(';')?;
        Some((frames.to_owned(), count.parse().ok()?))
    });
    of_thread.collect()
}

/// Each stage with its part of all samples.
pub(super) fn budget(stacks: &[(String, u64)]) -> Vec<(&'static str, f64)> {
    let mut counts = [0; STAGES.len()];
    for (stack, count) in stacks {
        counts[stage_of(stack)] += count;
    }
    let all = counts.iter().sum::<u64>().max(1) as f64;
    let stages = STAGES.iter().zip(counts);
    stages
        .map(|((name, _), count)| (*name, count as f64 / all))
        .collect()
}

fn stage_of(stack: &str) -> usize {
    let of_frame = |frame: &str| {
        STAGES
            .iter()
            .position(|(_, marks)| marks.iter().any(|mark| frame.contains(mark)))
    };
    stack
        .rsplit(';')
        .find_map(of_frame)
        .unwrap_or(STAGES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_the_innermost_stage_that_is_known() {
        let name = |stack: &str| STAGES[stage_of(stack)].0;
        assert_eq!(
            name(
                "run;flk_dataplane::shard::judge::judge_body;flk_contract::parse::Parser::parse;memcpy"
            ),
            "parse"
        );
        assert_eq!(
            name("entry_SYSCALL_64;__do_sys_io_uring_enter;io_send;tcp_sendmsg;memcpy"),
            "kernel: send, with delivery to the client"
        );
        assert_eq!(
            name("entry_SYSCALL_64;do_syscall_64"),
            "kernel: rest of io_uring, waits and interrupts"
        );
        assert_eq!(name("flk_dataplane::run::turn"), "rest of a turn");
        assert_eq!(name("[unknown]"), "other");
    }

    #[test]
    fn parts_are_of_the_samples_of_one_thread() {
        let folded =
            "flk-shard-0;simd_json::a 3\nflk-dataplane;simd_json::a 5\nflk-shard-0;x y 1\n";
        let stacks = stacks(folded, "flk-shard-0");
        assert_eq!(stacks.len(), 2);
        let budget = budget(&stacks);
        let of = |name| {
            budget
                .iter()
                .find(|(stage, _)| *stage == name)
                .map(|it| it.1)
        };
        assert_eq!((of("parse"), of("other")), (Some(0.75), Some(0.25)));
    }
}
