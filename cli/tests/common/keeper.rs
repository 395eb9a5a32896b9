//! A socket as that of a gateway, and something behind it that is none: it says one thing, nothing, or never ends.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A directory with a socket in it and something behind it that is no gateway.
pub struct Keeper {
    dir: tempfile::TempDir,
}

impl Keeper {
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    fn listen() -> (Self, UnixListener) {
        let dir = tempfile::tempdir().unwrap();
        let wal: PathBuf = dir.path().join("data/wal");
        std::fs::create_dir_all(&wal).unwrap();
        let listener = UnixListener::bind(wal.join("keeper.sock")).unwrap();
        (Self { dir }, listener)
    }

    /// Reads a command and gives this answer, each time.
    pub fn saying(answer: &'static str) -> Self {
        let (keeper, listener) = Self::listen();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut command = String::new();
                BufReader::new(&stream).read_line(&mut command).unwrap();
                stream.write_all(answer.as_bytes()).ok();
            }
        });
        keeper
    }

    /// Takes connections and never answers.
    pub fn silent() -> Self {
        let (keeper, listener) = Self::listen();
        std::thread::spawn(move || {
            let kept: Vec<_> = listener.incoming().collect();
            drop(kept);
        });
        keeper
    }

    /// Sends an answer that never ends.
    pub fn dripping() -> Self {
        let (keeper, listener) = Self::listen();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                while stream.write_all(b"o").is_ok() {
                    std::thread::yield_now();
                }
            }
        });
        keeper
    }

    /// Takes no connection: its queue is full.
    pub fn full() -> Self {
        let (keeper, listener) = Self::listen();
        rustix::net::listen(&listener, 0).unwrap();
        let path = keeper.path().join("data/wal/keeper.sock");
        // the queue's only place; both stay open as long as the test's process
        std::mem::forget(std::os::unix::net::UnixStream::connect(path).unwrap());
        std::mem::forget(listener);
        keeper
    }
}
