//! What `flk top` says where there is nothing that it can read.

use crate::top;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::fs::File;
use std::io::{BufRead as _, BufReader, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

#[test]
fn without_a_gateway_it_says_where_it_looked_and_what_names_another_place() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["--once"][..], &["--once", "--dir", "data/wal"]] {
        let ran = top(dir.path(), args);
        assert_eq!((ran.code, ran.stdout.as_str()), (69, ""));
        let expect = "flk: no gateway serves from data/wal: there is no such file or directory; --dir or WAL_DIR names the directory, --url a gateway elsewhere\n";
        assert_eq!(ran.stderr, expect);
    }
    let wal_dir = dir.path().join("data/wal");
    std::fs::create_dir_all(&wal_dir).unwrap();
    drop(UnixListener::bind(wal_dir.join("keeper.sock")).unwrap());
    let ran = top(dir.path(), &["--once"]);
    assert_eq!(ran.code, 69);
    assert!(
        ran.stderr
            .contains("from data/wal: its socket has no listener;"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_answers_over_http_and_is_no_gateway_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let serve = |answer: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let ran = top(dir.path(), &["--once", "--url", &url]);
        serving.join().unwrap();
        assert_eq!((ran.code, ran.stdout.as_str()), (69, ""));
        ran.stderr.replace(&url, "URL")
    };
    let said = serve("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nother_up 1.0");
    assert_eq!(
        said,
        "flk: what answers at URL/metrics is not a gateway: it has no metrics of one\n"
    );
    let said = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(
        said,
        "flk: no metrics from URL/metrics: it answers 404; --url names a gateway\n"
    );
    let said = serve("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nflk");
    assert!(said.contains("the answer did not come whole"), "{said}");
}

#[test]
fn a_wrong_option_is_a_usage_error_that_tells_what_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    for (args, words) in [
        (["--interval", "1ms"], "a time from 100ms to 1h"),
        (["--url", "https://h"], "plain HTTP"),
        (["--output", "xml"], "text, json"),
    ] {
        let ran = top(dir.path(), &args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
}

/// A page of statistics whose header has this layout version.
fn page(layout_version: u64) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("flk-stats", flags).unwrap();
    let mut bytes = [0; 4096];
    bytes[..8].copy_from_slice(b"flkstats");
    bytes[8..16].copy_from_slice(&layout_version.to_le_bytes());
    // the version of the writer stands behind 11 numbers
    bytes[88..93].copy_from_slice(b"9.9.9");
    File::from(memory.try_clone().unwrap())
        .write_all(&bytes)
        .unwrap();
    rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK).unwrap();
    memory
}

/// What it says to a gateway that answers its question with this memory, or with none.
fn said_to(memory: Option<OwnedFd>, dir: &Path) -> (i32, String) {
    let wal_dir = dir.join("data/wal");
    std::fs::create_dir_all(&wal_dir).unwrap();
    let listener = UnixListener::bind(wal_dir.join("keeper.sock")).unwrap();
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        assert_eq!(line, "flk1 statistics\n");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = memory.iter().map(|it| it.as_fd()).collect();
        if !descriptors.is_empty() {
            assert!(rights.push(SendAncillaryMessage::ScmRights(&descriptors)));
        }
        sendmsg(
            &stream,
            &[IoSlice::new(b"ok\n")],
            &mut rights,
            SendFlags::empty(),
        )
        .unwrap();
    });
    let ran = top(dir, &["--once"]);
    serving.join().unwrap();
    assert_eq!(ran.stdout, "");
    (ran.code, ran.stderr)
}

#[test]
fn a_page_of_another_layout_is_refused_with_the_version_that_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = said_to(Some(page(77)), dir.path());
    assert_eq!(code, 78, "{said}");
    assert!(
        said.contains("has layout 77, written by flk 9.9.9"),
        "{said}"
    );
    assert!(
        said.contains("; --url reads the metrics of any version"),
        "{said}"
    );
    assert!(!said.contains("os error"), "{said}");
}

#[test]
fn a_gateway_without_a_page_is_refused_with_another_way() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = said_to(None, dir.path());
    let expect = "flk: the gateway that serves from data/wal hands out no statistics; --url reads its metrics\n";
    assert_eq!((code, said.as_str()), (69, expect));
}
