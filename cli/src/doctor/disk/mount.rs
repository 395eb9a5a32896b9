//! Which file system a path is on and how it is mounted, as `/proc/self/mountinfo` has it.

use crate::doctor::finding::{Finding, Place};
use crate::doctor::host::Host;
use std::path::{Path, PathBuf};

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    kind: String,
    options: Vec<String>,
}

/// The file system of a path that exists.
pub(super) fn check(host: &Host, path: &Path) -> Finding {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let table = host.text("proc/self/mountinfo").unwrap_or_default();
    judge(of(&table, &path))
}

/// The mount that a path is on.
fn of(table: &str, path: &Path) -> Option<Mount> {
    parse(line(table, path)?)
}

/// The line of the mount that a path is on: the last one of those with the longest mount point.
pub(crate) fn line<'t>(table: &'t str, path: &Path) -> Option<&'t str> {
    let mounts = table.lines().filter_map(|it| Some((it, parse(it)?)));
    let above = mounts.filter(|(_, mount)| path.starts_with(&mount.point));
    let longest = above.max_by_key(|(_, mount)| mount.point.as_os_str().len());
    longest.map(|(line, _)| line)
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda1 rw,errors=continue`
fn parse(line: &str) -> Option<Mount> {
    let (mount, system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(4);
    let point = PathBuf::from(unescaped(fields.next()?));
    let own = fields.next()?;
    let mut system = system.split(' ');
    let kind = system.next()?.to_owned();
    let shared = system.nth(1).unwrap_or_default();
    let options = own.split(',').chain(shared.split(','));
    Some(Mount {
        point,
        kind,
        options: options.map(str::to_owned).collect(),
    })
}

/// White space and backslashes stand as octal numbers.
fn unescaped(text: &str) -> String {
    let pairs = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    pairs
        .into_iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn judge(mount: Option<Mount>) -> Finding {
    let check = "file system";
    let Some(Mount {
        point,
        kind,
        options,
    }) = mount
    else {
        return Finding::unknown(check, "not known here");
    };
    let found = format!("{kind} at {}", point.display());
    let has = |option: &str| options.iter().any(|it| it == option);
    if has("ro") {
        return local(Finding::fail(
            check,
            format!("{found}, mounted read-only"),
            "a file system that may be written",
        ));
    }
    if has("nobarrier") || has("barrier=0") {
        return Finding::fail(
            check,
            format!("{found}, mounted without barriers"),
            "barriers: without them a flush does not reach the device, and a power cut takes what was acknowledged",
        )
        .fix(Place::Host, format!("remove nobarrier from /etc/fstab; mount -o remount,barrier {}", point.display()))
        .fix(Place::Kubernetes, "mountOptions of the storage class");
    }
    match kind.as_str() {
        "tmpfs" | "ramfs" => local(Finding::warn(check, found, "a disk: nothing here outlives the host")),
        "overlay" | "aufs" => local(Finding::warn(
            check,
            format!("{found}, the layer of a container"),
            "a volume: what is written here goes with the container",
        )),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "ceph" | "glusterfs" | "virtiofs" => local(Finding::warn(
            check,
            format!("{found}, over a network or from a host"),
            "a local file system: each flush is a round trip, and locks and durability are those of the server",
        )),
        "btrfs" | "zfs" | "bcachefs" => Finding::warn(
            check,
            found,
            "ext4 or xfs: a file system that copies on write makes each flush of the log a change of its trees",
        )
        .fix(Place::Host, "ext4 or xfs for WAL_DIR; on btrfs: chattr +C on the empty directory"),
        _ => Finding::ok(check, found),
    }
}

fn local(finding: Finding) -> Finding {
    finding
        .fix(
            Place::Host,
            "a directory on ext4 or xfs of a local device, and WAL_DIR set to it",
        )
        .fix(
            Place::Systemd,
            "StateDirectory=flk, WAL_DIR=/var/lib/flk/wal",
        )
        .fix(
            Place::Compose,
            "volumes: [\"wal:/data\"], WAL_DIR=/data/wal",
        )
        .fix(
            Place::Kubernetes,
            "a PersistentVolumeClaim of block storage, WAL_DIR on it",
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    const TABLE: &str = "\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro
30 22 0:26 / /run rw,nosuid - tmpfs tmpfs rw
31 22 8:17 / /srv/two\\040words rw,noatime shared:4 - xfs /dev/sdb1 rw
32 22 8:33 / /srv/fast rw shared:5 master:1 - ext4 /dev/sdc1 rw,nobarrier
33 22 8:34 / /srv/fixed ro - ext4 /dev/sdc2 rw
34 30 8:35 / /run rw - xfs /dev/sdd1 rw
35 22 0:40 / /srv/far rw - nfs4 server:/x rw
36 22 0:41 / /srv/cow rw - btrfs /dev/sde rw
37 22 0:42 / /srv/layer rw - overlay overlay rw,lowerdir=/a
";

    #[test]
    fn the_longest_mount_point_counts_and_of_two_the_later() {
        let kind = |path: &str| of(TABLE, Path::new(path)).unwrap().kind;
        assert_eq!(kind("/var/lib"), "ext4");
        assert_eq!(kind("/srv/two words/wal"), "xfs");
        assert_eq!(kind("/run/flk"), "xfs");
        assert_eq!(kind("/srvother"), "ext4");
        let own = line(TABLE, Path::new("/srv/two words/wal")).unwrap();
        assert!(own.starts_with("31 22 8:17 "), "{own}");
        assert_eq!(line("", Path::new("/srv")), None);
    }

    #[test]
    fn what_does_not_keep_its_promise_is_a_failure_and_what_is_slow_a_warning() {
        let level = |path: &str| judge(of(TABLE, Path::new(path))).level;
        for (path, expected) in [
            ("/var", Level::Ok),
            ("/srv/two words", Level::Ok),
            ("/srv/fast", Level::Fail),
            ("/srv/fixed", Level::Fail),
            ("/srv/far", Level::Warn),
            ("/srv/cow", Level::Warn),
            ("/srv/layer", Level::Warn),
        ] {
            assert_eq!(level(path), expected, "{path}");
        }
        let unknown = judge(None);
        assert_eq!((unknown.level, unknown.is_known), (Level::Ok, false));
    }
}
