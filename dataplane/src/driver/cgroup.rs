//! The cgroups of this process, version 1 or 2: the smallest value of a limit from its own directory up to the root of the
//! hierarchy. It reads files and knows no limit by name.

use std::path::{Path, PathBuf};

/// The groups of a process and the mount of their limits.
#[derive(Clone, Debug)]
pub(super) struct Cgroups {
    /// The text of `/proc/self/cgroup`.
    groups: String,
    /// Where the hierarchies are mounted.
    root: PathBuf,
}

impl Cgroups {
    /// Those of this process.
    pub(super) fn of_this_process() -> Cgroups {
        Cgroups {
            groups: std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
            root: PathBuf::from("/sys/fs/cgroup"),
        }
    }

    /// The smallest limit of this controller, in either version; the readers get the directory of a group.
    pub(super) fn tightest(
        &self,
        controller: &str,
        v1: fn(&Path) -> Option<f64>,
        v2: fn(&Path) -> Option<f64>,
    ) -> Option<f64> {
        let limits = self.groups.lines().flat_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, group) = (fields.next(), fields.next(), fields.next());
            match (controllers, group) {
                // A host with both versions mounts the second one beside the controllers of the first.
                (Some(""), Some(group)) => [self.root.clone(), self.root.join("unified")]
                    .iter()
                    .find_map(|mount| smallest(mount, group, v2)),
                (Some(all), Some(group)) if all.split(',').any(|one| one == controller) => {
                    // Mounted under the list of its controllers or under its own name; in a container the group's own
                    // directory is often the mount point itself, which is the last ancestor looked at.
                    [all, controller]
                        .iter()
                        .find_map(|mount| smallest(&self.root.join(mount), group, v1))
                }
                _ => None,
            }
        });
        limits.min_by(f64::total_cmp)
    }
}

fn smallest(mount: &Path, group: &str, limit: fn(&Path) -> Option<f64>) -> Option<f64> {
    let group = Path::new(group.trim_start_matches('/'));
    let ancestors = group.ancestors().map(|ancestor| mount.join(ancestor));
    ancestors
        .filter_map(|directory| limit(&directory))
        .min_by(f64::total_cmp)
}

/// A cgroup mount made of files, for tests.
#[cfg(test)]
pub(super) struct Mount {
    directory: tempfile::TempDir,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // helpers of tests may unwrap as tests do
impl Mount {
    pub(super) fn new() -> Mount {
        let directory = tempfile::tempdir().unwrap();
        Mount { directory }
    }

    /// A control file holds this.
    pub(super) fn put(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The groups of a process that has these.
    pub(super) fn with_groups(&self, groups: &str) -> Cgroups {
        Cgroups {
            groups: groups.to_owned(),
            root: self.directory.path().to_owned(),
        }
    }
}

/// The number in a file; none if the file has no number or does not exist.
pub(super) fn number(directory: &Path, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(directory.join(name)).ok()?;
    text.trim().parse().ok()
}
