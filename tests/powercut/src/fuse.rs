//! Shows a disk as one regular file through /dev/fuse, request by request. The mount's root is the file itself, so there
//! are no names to look up. It speaks only what a loop device asks for; everything else is "not implemented".

use crate::disk::{Disk, NoPower};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Largest write that the kernel may send.
const WRITE_BYTES_MAX: usize = 1 << 20;
const IN_HEADER_BYTES: usize = 40;

/// Operation codes of the protocol (linux/fuse.h).
mod op {
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const SETATTR: u32 = 4;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const WRITE: u32 = 16;
    pub(super) const STATFS: u32 = 17;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FSYNC: u32 = 20;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const DESTROY: u32 = 38;
    pub(super) const BATCH_FORGET: u32 = 42;
}

const EIO: i32 = 5;
const EINVAL: i32 = 22;
const ENOSYS: i32 = 38;

/// Reads and writes go to the disk without the page cache (FOPEN_DIRECT_IO).
const OPEN_DIRECT: u32 = 1;
/// ASYNC_READ, BIG_WRITES, ASYNC_DIO, MAX_PAGES.
const INIT_FLAGS: u32 = 1 | 1 << 5 | 1 << 15 | 1 << 22;

/// Mounts the disk over the file `at` and serves it from a thread of its own until it is unmounted.
pub(crate) fn mount(disk: Arc<Mutex<Disk>>, at: &Path) -> io::Result<()> {
    let device = File::options().read(true).write(true).open("/dev/fuse")?;
    let data = format!(
        "fd={},rootmode=100000,user_id=0,group_id=0\0",
        device.as_raw_fd()
    );
    let data = std::ffi::CStr::from_bytes_with_nul(data.as_bytes()).map_err(io::Error::other)?;
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    rustix::mount::mount("flk-powercut", at, "fuse", flags, data)?;
    std::thread::Builder::new()
        .name("fuse".to_owned())
        .spawn(move || serve(&device, &disk))
        .map(drop)
}

fn serve(mut device: &File, disk: &Mutex<Disk>) {
    let mut buffer = vec![0; WRITE_BYTES_MAX + 8192];
    loop {
        let request = match device.read(&mut buffer) {
            Ok(bytes) => &buffer[..bytes],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Unmounted, or the connection was aborted.
            Err(_) => return,
        };
        let Some((unique, answer)) = answer(request, disk) else {
            continue;
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(errno) => (-errno, Vec::new()),
        };
        let mut reply = Vec::with_capacity(16 + body.len());
        reply.extend_from_slice(&(16 + body.len() as u32).to_le_bytes());
        reply.extend_from_slice(&error.to_le_bytes());
        reply.extend_from_slice(&unique.to_le_bytes());
        reply.extend_from_slice(&body);
        // A request that was given up meanwhile wants no answer.
        let _ = device.write(&reply);
    }
}

type Answer = Result<Vec<u8>, i32>;

/// The answer to a request and the number that it goes under; none where the protocol wants none.
fn answer(request: &[u8], disk: &Mutex<Disk>) -> Option<(u64, Answer)> {
    let code = u32_at(request, 4)?;
    let unique = u64_at(request, 8)?;
    let body = request.get(IN_HEADER_BYTES..)?;
    let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = match code {
        op::FORGET | op::BATCH_FORGET | op::INTERRUPT => return None,
        op::INIT => init(body),
        op::GETATTR | op::SETATTR => Ok(attributes(disk.bytes())),
        op::OPEN => Ok(fields(&[
            Field::Long(1),
            Field::Word(OPEN_DIRECT),
            Field::Word(0),
        ])),
        op::READ => read(body, &disk),
        op::WRITE => write(body, &mut disk),
        op::FSYNC => disk.flush().map(|()| Vec::new()).map_err(|NoPower| EIO),
        // Closing a descriptor makes nothing durable.
        op::FLUSH | op::RELEASE | op::DESTROY => Ok(Vec::new()),
        op::STATFS => Ok(vec![0; 80]),
        _ => Err(ENOSYS),
    };
    Some((unique, answer))
}

fn init(body: &[u8]) -> Answer {
    let offered = u32_at(body, 12).ok_or(EINVAL)?;
    let readahead = u32_at(body, 8).ok_or(EINVAL)?;
    let mut out = fields(&[
        Field::Word(7),
        Field::Word(31),
        Field::Word(readahead),
        Field::Word(offered & INIT_FLAGS),
        Field::Word(64 | 48 << 16), // requests in the background, and where congestion begins
        Field::Word(WRITE_BYTES_MAX as u32),
        Field::Word(1), // nanoseconds per unit of time
        Field::Word((WRITE_BYTES_MAX / 4096) as u32),
    ]);
    out.resize(64, 0);
    Ok(out)
}

fn attributes(bytes: u64) -> Vec<u8> {
    let mut out = fields(&[
        Field::Long(3600), // how long the kernel may trust this, in seconds
        Field::Long(0),
        Field::Long(1), // inode
        Field::Long(bytes),
        Field::Long(bytes / 512),
        Field::Long(0),
        Field::Long(0),
        Field::Long(0),
        Field::Word(0),
        Field::Word(0),
        Field::Word(0),
        Field::Word(0o100_600), // a regular file
        Field::Word(1),
        Field::Word(0),
        Field::Word(0),
        Field::Word(0),
        Field::Word(4096),
        Field::Word(0),
    ]);
    out.resize(104, 0);
    out
}

fn read(body: &[u8], disk: &Disk) -> Answer {
    let offset = u64_at(body, 8).ok_or(EINVAL)?;
    let bytes = u32_at(body, 16).ok_or(EINVAL)? as u64;
    let bytes = bytes.min(disk.bytes().saturating_sub(offset));
    let mut out = vec![0; bytes as usize];
    disk.read(offset, &mut out).map_err(|NoPower| EIO)?;
    Ok(out)
}

fn write(body: &[u8], disk: &mut Disk) -> Answer {
    let offset = u64_at(body, 8).ok_or(EINVAL)?;
    let bytes = u32_at(body, 16).ok_or(EINVAL)?;
    let content = body.get(40..40 + bytes as usize).ok_or(EINVAL)?;
    if offset + u64::from(bytes) > disk.bytes() {
        return Err(EINVAL);
    }
    disk.write(offset, content).map_err(|NoPower| EIO)?;
    Ok(fields(&[Field::Word(bytes), Field::Word(0)]))
}

/// A field of an answer, in the machine's own order, which is little-endian wherever this runs.
enum Field {
    Word(u32),
    Long(u64),
}

fn fields(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    for field in fields {
        match field {
            Field::Word(value) => out.extend_from_slice(&value.to_le_bytes()),
            Field::Long(value) => out.extend_from_slice(&value.to_le_bytes()),
        }
    }
    out
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(code: u32, body: &[u8]) -> Vec<u8> {
        let mut out = vec![0; IN_HEADER_BYTES];
        out[4..8].copy_from_slice(&code.to_le_bytes());
        out[8..16].copy_from_slice(&77_u64.to_le_bytes());
        out.extend_from_slice(body);
        out
    }

    fn ask(disk: &Mutex<Disk>, code: u32, body: &[u8]) -> Answer {
        let (unique, answer) = answer(&request(code, body), disk).unwrap();
        assert_eq!(unique, 77);
        answer
    }

    fn at(offset: u64, bytes: u32, content: &[u8]) -> Vec<u8> {
        let mut body = fields(&[Field::Long(1), Field::Long(offset), Field::Word(bytes)]);
        body.resize(40, 0);
        body.extend_from_slice(content);
        body
    }

    #[test]
    fn a_write_is_read_back_and_nothing_behind_the_end_is() {
        let disk = Mutex::new(Disk::new(8192));
        assert_eq!(
            ask(&disk, op::WRITE, &at(8000, 4, b"abcd")),
            Ok(vec![4, 0, 0, 0, 0, 0, 0, 0])
        );
        assert_eq!(
            ask(&disk, op::READ, &at(8000, 4, b"")),
            Ok(b"abcd".to_vec())
        );
        assert_eq!(ask(&disk, op::READ, &at(8190, 100, b"")), Ok(vec![0, 0]));
        assert_eq!(ask(&disk, op::WRITE, &at(8190, 4, b"abcd")), Err(EINVAL));
        assert_eq!(
            ask(&disk, op::WRITE, &at(0, 4, b"ab")),
            Err(EINVAL),
            "cut short"
        );
    }

    #[test]
    fn without_power_every_access_fails() {
        let disk = Mutex::new(Disk::new(8192));
        assert_eq!(ask(&disk, op::FSYNC, &[0; 16]), Ok(Vec::new()));
        disk.lock().unwrap().cut(&mut flk_testkit::Dice::new(1));
        for (code, body) in [
            (op::READ, at(0, 1, b"")),
            (op::WRITE, at(0, 1, b"x")),
            (op::FSYNC, vec![0; 16]),
        ] {
            assert_eq!(ask(&disk, code, &body), Err(EIO));
        }
    }
}
