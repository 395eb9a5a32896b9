//! Whether the memory of this process can be dumped by the kernel when it crashes, or read by other processes of its user.
//! It applies what was decided elsewhere, and wipes nothing.

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use std::ops::Range;

/// What others may see of the memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CoreDumps {
    /// No core dump is written, and only the superuser can read the memory.
    #[default]
    Refused,
    /// As for any process.
    Allowed,
}

impl CoreDumps {
    /// What is in force.
    pub fn in_force() -> CoreDumps {
        match dumpable_behavior() {
            Ok(DumpableBehavior::NotDumpable) => CoreDumps::Refused,
            _ => CoreDumps::Allowed,
        }
    }

    /// Puts it in force, for all threads. Only a filter of system calls refuses this; [`CoreDumps::in_force`] tells.
    pub fn apply(self) {
        let _shown_at_the_start = set_dumpable_behavior(match self {
            CoreDumps::Refused => DumpableBehavior::NotDumpable,
            CoreDumps::Allowed => DumpableBehavior::Dumpable,
        });
    }
}

/// Leaves the pages of this memory out of core dumps.
///
/// # Errors
/// The system refuses.
#[allow(unsafe_code)]
pub fn leave_out(memory: Range<*const u8>) -> std::io::Result<()> {
    let page_bytes = rustix::param::page_size();
    let first = memory.start.addr() / page_bytes * page_bytes;
    let bytes = memory.end.addr().next_multiple_of(page_bytes) - first;
    let pages = memory.start.with_addr(first).cast_mut().cast();
    // SAFETY: this advice changes neither the contents of the pages nor how they can be accessed.
    match unsafe { libc::madvise(pages, bytes, libc::MADV_DONTDUMP) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags of the mapping that holds an address.
    fn flags_at(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_in = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|it| it.split_once('-'));
            let numbers = range.map(|(from, to)| {
                (
                    usize::from_str_radix(from, 16),
                    usize::from_str_radix(to, 16),
                )
            });
            if let Some((Ok(from), Ok(to))) = numbers {
                is_in = (from..to).contains(&address);
            }
            if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| is_in) {
                return flags.to_owned();
            }
        }
        panic!("no mapping holds {address:x}")
    }

    #[test]
    fn memory_that_is_left_out_is_marked_for_the_kernel_up_to_its_last_byte() {
        let memory = vec![7_u8; 3 * rustix::param::page_size()];
        let last = memory.as_ptr().addr() + memory.len() - 1;
        let is_left_out = |at| flags_at(at).split_whitespace().any(|flag| flag == "dd");
        assert!(!is_left_out(last));
        leave_out(memory.as_ptr_range()).unwrap();
        assert!(is_left_out(last) && is_left_out(memory.as_ptr().addr()));
        assert_eq!(memory[0], 7);
    }
}
