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
    /// What an ext4 lies in.
    image: PathBuf,
}

impl Volume {
    fn mount(setting: Setting, bytes: u64, scratch: &Path) -> Result<Volume, String> {
        unshare_mounts().map_err(|error| format!("no mount namespace: {error}"))?;
        let (root, image) = (scratch.join("disk"), scratch.join("disk.img"));
        std::fs::create_dir(&root).map_err(|error| error.to_string())?;
        match setting {
            Setting::Tmpfs => {
                let size = std::ffi::CString::new(format!("size={bytes}")).expect("no zero byte");
                mount("flk-e2e", &root, "tmpfs", MountFlags::empty(), &*size)
                    .map_err(|error| format!("mounting tmpfs: {error}"))?;
            }
            _ => {
                make_ext4(&image, bytes)?;
                mount_ext4(&image, &root)?;
            }
        }
        Ok(Volume { root, image })
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

    /// An ext4 meets an error of its own and turns read-only, as it does where its device fails.
    ///
    /// # Errors
    /// That is not possible here.
    pub fn turn_read_only(&self) -> Result<(), String> {
        let mut find = Command::new("findmnt");
        let device = run(find.args(["-no", "SOURCE"]).arg(&self.root))?;
        let device = device.trim().trim_start_matches("/dev/");
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        std::fs::write(&trigger, "1").map_err(|error| format!("{trigger}: {error}"))
    }

    /// Unmounts the file system, has it checked, and mounts it again.
    ///
    /// # Errors
    /// What failed.
    pub fn repair(&self) -> Result<(), String> {
        run(Command::new("umount").arg(&self.root))?;
        // It ends with 1 where it has repaired something.
        let check = Command::new("e2fsck")
            .args(["-f", "-p"])
            .arg(&self.image)
            .status();
        match check.map(|status| status.code()) {
            Ok(Some(0 | 1)) => mount_ext4(&self.image, &self.root),
            other => Err(format!("e2fsck: {other:?}")),
        }
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

fn make_ext4(image: &Path, bytes: u64) -> Result<(), String> {
    File::create(image)
        .and_then(|file| file.set_len(bytes))
        .map_err(|error| error.to_string())?;
    let mut format = Command::new("mkfs.ext4");
    run(format
        .args(["-q", "-F", "-b", "4096", "-m", "0", "-J", "size=8"])
        .arg(image))
    .map(drop)
}

fn mount_ext4(image: &Path, root: &Path) -> Result<(), String> {
    let mut mount = Command::new("mount");
    run(mount
        .args(["-t", "ext4", "-o", "loop,errors=remount-ro"])
        .arg(image)
        .arg(root))
    .map(drop)
}

/// What a program prints that must succeed.
fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            let trouble = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program}: {}", trouble.trim()))
        }
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// A state of a file system that is undone however the test ends.
pub struct Undone {
    program: &'static str,
    undo: &'static [&'static str],
    path: PathBuf,
}

impl Undone {
    /// Changes a state; nothing where that is not possible here.
    pub fn by(
        program: &'static str,
        arguments: &[&str],
        undo: &'static [&'static str],
        path: &Path,
    ) -> Option<Undone> {
        let done = Command::new(program).args(arguments).arg(path).output();
        let done = done.is_ok_and(|output| output.status.success());
        done.then(|| Undone {
            program,
            undo,
            path: path.to_owned(),
        })
    }
}

impl Drop for Undone {
    fn drop(&mut self) {
        let undone = Command::new(self.program)
            .args(self.undo)
            .arg(&self.path)
            .status();
        assert!(
            undone.is_ok_and(|status| status.success()),
            "{} is not undone",
            self.program
        );
    }
}
