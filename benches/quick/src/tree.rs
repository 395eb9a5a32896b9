//! What a process and all that it started have used of the CPUs. It reads /proc; it never touches a process.

use std::io;

use flk_bench_load::cpu::{CpuTime, Stat};

/// A process by its number.
type Numbered = (u32, Stat);

/// The process and its descendants.
pub(crate) fn ids(root: u32) -> io::Result<Vec<u32>> {
    Ok(tree(root, &all()?).iter().map(|(id, _)| *id).collect())
}

/// What they have used so far, including those that have ended.
pub(crate) fn cpu(root: u32) -> io::Result<CpuTime> {
    let members = tree(root, &all()?);
    let times = members.iter().map(|(_, it)| it.own + it.of_children);
    Ok(times.fold(CpuTime::default(), |sum, it| sum + it))
}

/// All processes of the machine that did not end while they were looked at.
fn all() -> io::Result<Vec<Numbered>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let id: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
        all.extend(id.and_then(|id| Some((id, Stat::of_process(id).ok()?))));
    }
    Ok(all)
}

/// Those of `all` that are `root` or descend from it.
fn tree(root: u32, all: &[Numbered]) -> Vec<Numbered> {
    let mut members: Vec<Numbered> = all.iter().filter(|(id, _)| *id == root).copied().collect();
    let mut at = 0;
    while let Some((parent, _)) = members.get(at).copied() {
        members.extend(all.iter().filter(|(_, it)| it.parent == parent));
        at += 1;
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(id: u32, parent: u32) -> Numbered {
        let stat = Stat {
            parent,
            ..Stat::default()
        };
        (id, stat)
    }

    #[test]
    fn a_tree_has_children_of_children_and_no_neighbours() {
        let all = [stat(1, 0), stat(9, 5), stat(5, 4), stat(4, 1), stat(6, 1)];
        let mut ids: Vec<u32> = tree(4, &all).iter().map(|(id, _)| *id).collect();
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
