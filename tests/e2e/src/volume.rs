//! A small file system for a log: ext4 on a loop device, or tmpfs of a limited size, in a mount namespace of its own. It
//! belongs to one thread and to what that thread starts, and is gone with them, however they end; nobody else sees it.

use crate::setting::Setting;
use rustix::fs::statvfs;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a test on a thread that sees a file system of this size where nobody else sees one. Skips it loudly where this
/// process may not mount.
pub fn on_a_small_disk(setting: Setting, bytes: u64, test: impl FnOnce(&Volume) + Send) {
    let scratch = setting.directory();
    let scratch = scratch.path();
    let ended = std::thread::scope(|scope| {
        let thread = scope.spawn(|| match Volume::mount(setting, bytes, scratch) {
            Ok(volume) => test(&volume),
            Err(missing) => {
                flk_testkit::skipped(&format!("a nearly full disk ({setting:?}): {missing}"))
            }
        });
        thread.join()
    });
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

/// The mounted file system.
pub struct Volume {
    root: PathBuf,
}

impl Volume {
    fn mount(setting: Setting, bytes: u64, scratch: &Path) -> Result<Volume, String> {
        unshare_mounts().map_err(|error| format!("no mount namespace: {error}"))?;
        let root = scratch.join("disk");
        std::fs::create_dir(&root).map_err(|error| error.to_string())?;
        match setting {
            Setting::Tmpfs => {
                let size = std::ffi::CString::new(format!("size={bytes}")).expect("no zero byte");
                mount("flk-e2e", &root, "tmpfs", MountFlags::empty(), &*size)
                    .map_err(|error| format!("mounting tmpfs: {error}"))?;
            }
            _ => mount_ext4(&scratch.join("disk.img"), bytes, &root)?,
        }
        Ok(Volume { root })
    }

    /// Where it is, for this thread and what it starts.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Bytes that a file may still take.
    pub fn free_bytes(&self) -> u64 {
        let space = statvfs(&self.root).expect("a mounted file system");
        space.f_bavail * space.f_frsize
    }
}

/// From here on mounts of this thread are seen by this thread and its children only.
fn unshare_mounts() -> Result<(), Errno> {
    // Deprecated because other flags can take descriptors away from other threads; mounts are not shared that way.
    #[allow(deprecated)]
    rustix::thread::unshare(UnshareFlags::NEWNS)?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
}

fn mount_ext4(image: &Path, bytes: u64, root: &Path) -> Result<(), String> {
    File::create(image)
        .and_then(|file| file.set_len(bytes))
        .map_err(|error| error.to_string())?;
    let mut format = Command::new("mkfs.ext4");
    run(format
        .args(["-q", "-F", "-b", "4096", "-m", "0", "-J", "size=8"])
        .arg(image))?;
    let mut mount = Command::new("mount");
    run(mount
        .args(["-t", "ext4", "-o", "loop"])
        .arg(image)
        .arg(root))
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let trouble = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program}: {}", trouble.trim()))
        }
        Err(error) => Err(format!("{program}: {error}")),
    }
}
