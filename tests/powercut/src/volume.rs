//! The stack that a gateway's directory lies on: disk, FUSE file, loop device, ext4 with its journal. It makes and takes
//! down one stack at a time and leaves nothing behind; the content is the disk's.

use crate::disk::Disk;
use crate::fuse;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// Size of the disk: room for all segments of a long run.
pub(crate) const DISK_BYTES: u64 = 1 << 30;
/// Other users of loop devices may be quicker.
const LOOP_ATTEMPTS: u32 = 10;

/// A disk with an empty ext4 on it.
pub(crate) fn formatted(scratch: &Path) -> Result<Disk, Box<dyn Error>> {
    let path = scratch.join("blank.img");
    File::create(&path)?.set_len(DISK_BYTES)?;
    let options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
    run(Command::new("mkfs.ext4")
        .args(["-q", "-F", "-b", "4096", "-J", "size=16", "-E", options])
        .arg(&path))?;
    let mut disk = Disk::new(DISK_BYTES);
    let mut file = File::open(&path)?;
    let mut chunk = vec![0; 1 << 20];
    for offset in (0..DISK_BYTES).step_by(chunk.len()) {
        file.read_exact(&mut chunk)?;
        if chunk.iter().any(|&byte| byte != 0) {
            disk.write(offset, &chunk)
                .map_err(|_| "a new disk has power")?;
        }
    }
    disk.flush().map_err(|_| "a new disk has power")?;
    std::fs::remove_file(&path)?;
    Ok(disk)
}

/// A mounted stack; dropping it takes it down.
pub(crate) struct Volume {
    file: PathBuf,
    /// While it does not detach itself.
    device: Option<PathBuf>,
    directory: PathBuf,
    mounted: bool,
}

impl Volume {
    /// Builds the stack below `scratch`, with the mount options that ext4 is to have; the journal is replayed here.
    pub(crate) fn mount(
        disk: &Arc<Mutex<Disk>>,
        scratch: &Path,
        number: u64,
        options: &str,
    ) -> Result<Volume, Box<dyn Error>> {
        disk.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .power_on();
        let file = scratch.join(format!("disk-{number}"));
        let directory = scratch.join(format!("mnt-{number}"));
        File::create(&file)?;
        std::fs::create_dir(&directory)?;
        fuse::mount(Arc::clone(disk), &file).map_err(|error| format!("mounting FUSE: {error}"))?;
        let mut volume = Volume {
            file,
            device: None,
            directory,
            mounted: false,
        };
        let device = attach(&volume.file)?;
        volume.device = Some(device.clone());
        run(Command::new("mount")
            .args(["-t", "ext4", "-o", options])
            .arg(&device)
            .arg(&volume.directory))?;
        volume.mounted = true;
        // From here on the device detaches itself when the file system is unmounted, by whomever and whenever.
        detach(&device);
        volume.device = None;
        Ok(volume)
    }

    /// Where the file system is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Without power nothing can be written back, so each step may complain; what counts is that nothing stays.
        use rustix::mount::{UnmountFlags, unmount};
        if self.mounted && unmount(&self.directory, UnmountFlags::empty()).is_err() {
            let _ = unmount(&self.directory, UnmountFlags::DETACH);
        }
        if let Some(device) = &self.device {
            detach(device);
        }
        let _ = unmount(&self.file, UnmountFlags::DETACH);
        let _ = std::fs::remove_dir(&self.directory);
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Attaches a free loop device that passes reads, writes and flushes straight on.
fn attach(file: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut refusal = String::new();
    for _ in 0..LOOP_ATTEMPTS {
        let found = Command::new("losetup").arg("--find").output()?;
        let device = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
        if !device.exists() {
            let number = device.to_string_lossy().replace("/dev/loop", "");
            run(Command::new("mknod")
                .args(["-m", "600"])
                .arg(&device)
                .args(["b", "7", &number]))?;
        }
        match run(Command::new("losetup")
            .arg("--direct-io=on")
            .arg(&device)
            .arg(file))
        {
            Ok(()) => return Ok(device),
            Err(error) => refusal = error.to_string(),
        }
    }
    Err(format!("no loop device could be attached: {refusal}").into())
}

fn detach(device: &Path) {
    if let Err(error) = run(Command::new("losetup").arg("-d").arg(device)) {
        eprintln!("powercut: {error}");
    }
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", text.trim()).into())
}
