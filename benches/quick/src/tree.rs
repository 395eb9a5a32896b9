//! What a process and all that it started have used of the CPUs. It reads /proc; it never touches a process.

use std::io;
use std::time::Duration;

use flk_bench_load::cpu::CpuTime;

/// A line of `/proc/ID/stat`, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    id: u32,
    parent: u32,
    /// In clock ticks, with that of children which have ended and were waited for.
    user: u64,
    system: u64,
}

/// The process and its descendants.
pub(crate) fn ids(root: u32) -> io::Result<Vec<u32>> {
    Ok(tree(root, &all()?).iter().map(|it| it.id).collect())
}

/// What they have used so far, including those that have ended.
pub(crate) fn cpu(root: u32) -> io::Result<CpuTime> {
    let members = tree(root, &all()?);
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let time = |ticks: u64| Duration::from_nanos(ticks * (1_000_000_000 / ticks_per_second));
    Ok(CpuTime {
        user: time(members.iter().map(|it| it.user).sum()),
        system: time(members.iter().map(|it| it.system).sum()),
    })
}

/// All processes of the machine that did not end while they were looked at.
fn all() -> io::Result<Vec<Stat>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let id: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
        let stat = id.and_then(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).ok());
        all.extend(stat.and_then(|text| parse(&text)));
    }
    Ok(all)
}

/// Those of `all` that are `root` or descend from it.
fn tree(root: u32, all: &[Stat]) -> Vec<Stat> {
    let mut members: Vec<Stat> = all.iter().filter(|it| it.id == root).copied().collect();
    let mut at = 0;
    while let Some(parent) = members.get(at).copied() {
        let children = all.iter().filter(|it| it.parent == parent.id);
        members.extend(children);
        at += 1;
    }
    members
}

/// The name in parentheses may hold spaces, so fields are counted behind the last `)`.
fn parse(text: &str) -> Option<Stat> {
    let id = text.split(' ').next()?.parse().ok()?;
    let rest = text.get(text.rfind(')')? + 1..)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        id,
        parent: u32::try_from(number(1)?).ok()?,
        user: number(11)? + number(13)?,
        system: number(12)? + number(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(id: u32, parent: u32) -> Stat {
        let (user, system) = (0, 0);
        Stat {
            id,
            parent,
            user,
            system,
        }
    }

    #[test]
    fn times_are_read_behind_a_name_with_spaces_and_include_those_of_children_that_ended() {
        let text = "7 (a (b) c) S 3 2 3 4 5 6 7 8 9 10 150 250 5 6 20 0 1 0";
        let expected = Stat {
            id: 7,
            parent: 3,
            user: 155,
            system: 256,
        };
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn a_tree_has_children_of_children_and_no_neighbours() {
        let all = [stat(1, 0), stat(9, 5), stat(5, 4), stat(4, 1), stat(6, 1)];
        let mut ids: Vec<u32> = tree(4, &all).iter().map(|it| it.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [4, 5, 9]);
    }

    #[test]
    fn a_child_of_this_process_belongs_to_its_tree_until_it_was_waited_for() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        assert!(ids(std::process::id()).unwrap().contains(&child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!ids(std::process::id()).unwrap().contains(&child.id()));
    }
}
