//! The sandbox as the kernel enforces it, by system calls and by an io_uring without restrictions of its own. It holds for a
//! thread and what that thread starts, so each test enters it on a thread of its own.
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap as tests do

use flk_dataplane::driver::sandbox::{Accessible, Sandbox, enter};
use io_uring::{IoUring, opcode, types};
use std::ffi::CString;
use std::fs::File;
use std::io::{ErrorKind, Result};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A log's directory, a directory with a key, and a file that is none of the gateway's.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place {
            directory: tempfile::tempdir().unwrap(),
        };
        for directory in ["wal", "keys"] {
            std::fs::create_dir(place.path(directory)).unwrap();
        }
        for file in ["wal/old", "keys/key", "other"] {
            std::fs::write(place.path(file), "text").unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Does something in the sandbox, on a thread that was started inside.
    fn inside<T: Send>(&self, doing: impl FnOnce(&Sandbox) -> T + Send) -> Option<T> {
        std::thread::scope(|scope| {
            let entering = scope.spawn(|| {
                let directory = File::open(self.path("wal")).unwrap();
                let read = [self.path("keys")];
                let sandbox = enter(&Accessible {
                    directory: directory.as_fd(),
                    read: &read,
                });
                if !sandbox.restricts_files() {
                    flk_testkit::skipped(&format!("the sandbox: {sandbox}"));
                    return None;
                }
                std::thread::scope(|scope| Some(scope.spawn(|| doing(&sandbox)).join().unwrap()))
            });
            entering.join().unwrap()
        })
    }
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

const DENIED: Option<ErrorKind> = Some(ErrorKind::PermissionDenied);

#[test]
fn the_log_is_written_keys_are_read_and_no_other_file_is_opened() {
    let place = Place::new();
    place.inside(|_| {
        let wal = |name: &str| place.path("wal").join(name);
        std::fs::write(wal("new"), "text").unwrap();
        std::fs::rename(wal("new"), wal("newer")).unwrap();
        File::options()
            .write(true)
            .open(wal("newer"))
            .unwrap()
            .set_len(1)
            .unwrap();
        std::fs::remove_file(wal("newer")).unwrap();
        drop(UnixListener::bind(wal("socket")).unwrap());
        assert_eq!(std::fs::read_dir(place.path("wal")).unwrap().count(), 2);
        assert_eq!(std::fs::read(place.path("keys/key")).unwrap(), b"text");
        assert_eq!(
            kind(std::fs::write(place.path("keys/key"), "other")),
            DENIED
        );
        assert_eq!(kind(File::create(place.path("keys/new"))), DENIED);
        assert_eq!(kind(File::open(place.path("other"))), DENIED);
        assert_eq!(kind(File::open("/proc/self/environ")), DENIED);
        assert_eq!(kind(std::fs::read_dir("/")), DENIED);
        let outside = place.path("outside");
        assert_ne!(kind(std::fs::rename(wal("old"), outside)), None);
        assert_ne!(kind(std::os::unix::fs::symlink("/", wal("link"))), None);
        let ran = std::process::Command::new("/bin/true").status();
        assert_eq!(kind(ran), DENIED);
    });
}

/// Opens a file by an io_uring that may do everything.
#[allow(unsafe_code)]
fn open_by_ring(path: &Path) -> std::result::Result<OwnedFd, i32> {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let mut ring = IoUring::new(4).unwrap();
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build();
    // SAFETY: the path lives until the operation has ended, which is waited for.
    unsafe { ring.submission().push(&entry) }.unwrap();
    ring.submit_and_wait(1).unwrap();
    match ring.completion().next().unwrap().result() {
        // SAFETY: the kernel just returned this descriptor; nothing else owns it.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        error => Err(-error),
    }
}

#[test]
fn no_other_file_is_opened_through_io_uring_either() {
    if let Err(error) = IoUring::new(4) {
        return flk_testkit::skipped(&format!("opening by io_uring: {error}"));
    }
    let place = Place::new();
    let other = place.path("other");
    assert!(open_by_ring(&other).is_ok(), "outside of the sandbox");
    place.inside(|_| {
        assert!(open_by_ring(&place.path("keys/key")).is_ok());
        assert_eq!(open_by_ring(&other).unwrap_err(), libc::EACCES);
        let hostname = Path::new("/etc/hostname");
        assert_eq!(open_by_ring(hostname).unwrap_err(), libc::EACCES);
    });
}

#[test]
fn a_listener_goes_on_and_no_new_socket_is_bound_or_connected() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    place.inside(|sandbox| {
        let (accepted, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(accepted.as_raw_fd() >= 0);
        match sandbox.restricts_tcp() {
            true => {
                assert_eq!(kind(TcpListener::bind("127.0.0.1:0")), DENIED);
                assert_eq!(kind(TcpStream::connect(address)), DENIED);
            }
            false => flk_testkit::skipped("new TCP sockets: this kernel cannot refuse them"),
        }
    });
}
