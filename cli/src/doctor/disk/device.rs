//! The block device under a directory, as `/sys/dev/block` has it.

use crate::doctor::host::Host;
use std::os::fd::BorrowedFd;

/// What a block device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// Its name in /dev.
    pub(super) name: String,
    /// It may lose what it has confirmed and not flushed.
    pub(super) has_write_cache: bool,
    /// It has a medium that turns.
    pub(super) is_rotating: bool,
}

impl Device {
    /// The device below a directory; nothing where none can be seen.
    pub(super) fn below(host: &Host, directory: BorrowedFd<'_>) -> Option<Device> {
        let number = rustix::fs::fstat(directory).ok()?.st_dev;
        let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
        Device::of(host, &format!("sys/dev/block/{major}:{minor}"))
    }

    /// A partition has no queue: its disk has, one directory above it.
    fn of(host: &Host, link: &str) -> Option<Device> {
        let own = host.path(link).canonicalize().ok()?;
        let disk = match own.join("queue").exists() {
            true => own.as_path(),
            false => own.parent()?,
        };
        let text = |file: &str| crate::doctor::text_of(disk.join("queue").join(file));
        Some(Device {
            name: disk.file_name()?.to_str()?.to_owned(),
            has_write_cache: text("write_cache")? == "write back",
            is_rotating: text("rotational").as_deref() == Some("1"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::host::tests::Tree;

    #[test]
    fn a_partition_has_the_queue_of_its_disk() {
        let tree = Tree::with(&[
            ("sys/devices/sda/queue/write_cache", "write back\n"),
            ("sys/devices/sda/queue/rotational", "1\n"),
            ("sys/devices/sda/sda1/start", "2048\n"),
            ("sys/devices/vda/queue/write_cache", "write through\n"),
            ("sys/devices/vda/queue/rotational", "0\n"),
            ("sys/dev/block/x", ""),
        ]);
        let link = |name: &str, target: &str| {
            let path = tree.host().path(&format!("sys/dev/block/{name}"));
            std::os::unix::fs::symlink(target, path).unwrap();
        };
        link("8:1", "../../devices/sda/sda1");
        link("254:0", "../../devices/vda");
        let of = |name: &str| Device::of(&tree.host(), &format!("sys/dev/block/{name}"));
        let disk = of("8:1").unwrap();
        assert_eq!(
            disk,
            Device {
                name: "sda".to_owned(),
                has_write_cache: true,
                is_rotating: true
            }
        );
        assert!(!of("254:0").unwrap().has_write_cache);
        assert_eq!(of("9:9"), None);
    }
}
