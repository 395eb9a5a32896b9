//! The file executor on real directories: what each operation does, and what it must not reach.

use super::*;
use crate::driver::directory::open_directory;
use crate::keeper::files::{MAKE, READ_WRITE_CREATE};
use std::path::Path;

const DIRECT: OpenHow = OpenHow {
    direct: true,
    dsync: true,
    ..MAKE
};
const EXISTING: OpenHow = OpenHow {
    create: false,
    ..READ_WRITE_CREATE
};

fn executor(path: &Path) -> FileExecutor {
    FileExecutor::new(open_directory(path).unwrap())
}

fn open(files: &mut FileExecutor, name: &str, how: OpenHow) -> Result<FileId, Errno> {
    let name = name.to_owned();
    match files.run(FileOp::Open { name, how })? {
        FileValue::Opened(file) => Ok(file),
        other => panic!("unexpected {other:?}"),
    }
}

fn write_at(files: &mut FileExecutor, file: FileId, offset: u64, bytes: &[u8]) -> FileResult {
    let bytes = bytes.to_vec();
    files.run(FileOp::Write {
        file,
        offset,
        bytes,
    })
}

fn read_at(files: &mut FileExecutor, file: FileId, offset: u64, bytes: u32) -> FileResult {
    files.run(FileOp::Read {
        file,
        offset,
        bytes,
    })
}

#[test]
fn a_file_lives_from_its_making_to_its_removal() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/wal");
    let mut files = executor(&path);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let file = open(&mut files, "a", MAKE).unwrap();
    assert_eq!(
        path.join("a").metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(open(&mut files, "a", MAKE), Err(Errno(libc::EEXIST)));
    let written = write_at(&mut files, file, 3, b"hello");
    assert_eq!(written, Ok(FileValue::Written(5)));
    assert_eq!(files.run(FileOp::Len(file)), Ok(FileValue::Number(8)));
    assert_eq!(files.run(FileOp::Links(file)), Ok(FileValue::Number(1)));
    let read = read_at(&mut files, file, 1, 100);
    assert_eq!(read, Ok(FileValue::Bytes(b"\0\0hello".to_vec())));
    assert_eq!(files.run(FileOp::Sync(file)), Ok(FileValue::Done));
    assert_eq!(files.run(FileOp::Truncate(file, 4)), Ok(FileValue::Done));
    assert_eq!(files.run(FileOp::Len(file)), Ok(FileValue::Number(4)));
    let (from, to) = ("a".to_owned(), "b".to_owned());
    assert_eq!(files.run(FileOp::Rename { from, to }), Ok(FileValue::Done));
    assert_eq!(files.run(FileOp::SyncDir), Ok(FileValue::Done));
    let names = Ok(FileValue::Names(vec!["b".to_owned()]));
    assert_eq!(files.run(FileOp::List), names);
    let unlink = FileOp::Unlink("b".to_owned());
    assert_eq!(files.run(unlink.clone()), Ok(FileValue::Done));
    assert_eq!(files.run(unlink), Err(Errno::ENOENT));
    assert_eq!(files.run(FileOp::Close(file)), Ok(FileValue::Done));
    assert_eq!(files.run(FileOp::Close(file)), Err(Errno(libc::EBADF)));
    assert_eq!(read_at(&mut files, file, 0, 1), Err(Errno(libc::EBADF)));
}

#[test]
fn members_of_the_group_may_read_new_files_but_lock_and_secret_whatever_the_umask() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let gid = directory.path().metadata().unwrap().gid();
    let group = ReadGroup::find(&gid.to_string()).unwrap();
    let mode = |name: &str| {
        let found = directory.path().join(name).metadata().unwrap();
        (found.mode() & 0o7777, found.gid())
    };
    let mut files = executor(directory.path());
    open(&mut files, "segment-0000000000000000.wal", MAKE).unwrap();
    let mut files = files.with_readers(Some(group));
    for name in ["slice-0000000000000001.flk", "manifest.new", LOCK, SECRET] {
        open(&mut files, name, MAKE).unwrap();
    }
    assert_eq!(mode("slice-0000000000000001.flk"), (0o640, gid));
    assert_eq!(mode("manifest.new"), (0o640, gid));
    let private = [LOCK, SECRET, "segment-0000000000000000.wal"];
    assert_eq!(private.map(|name| mode(name).0), [0o600; 3]);
    let opened = open_directory(directory.path()).unwrap();
    group.give_all(opened.as_fd()).unwrap();
    assert_eq!(mode("segment-0000000000000000.wal"), (0o640, gid));
    assert_eq!([LOCK, SECRET].map(|name| mode(name).0), [0o600; 2]);
    assert_eq!(mode("."), (0o750, gid));
}

#[test]
fn an_orderly_end_leaves_no_process_in_the_lock_file_and_no_other_file_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    let text = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let mut files = executor(directory.path());
    for name in [LOCK, "other"] {
        let file = open(&mut files, name, MAKE).unwrap();
        assert!(write_at(&mut files, file, 0, b"7\n").is_ok());
        let locked = files.run(FileOp::LockExclusive(file));
        assert_eq!(locked, Ok(FileValue::Done));
    }
    let mut refused = executor(directory.path());
    let file = open(&mut refused, LOCK, EXISTING).unwrap();
    assert!(refused.run(FileOp::LockExclusive(file)).is_err());
    drop(refused);
    assert_eq!((text(LOCK), text("other")), ("7\n".into(), "7\n".into()));
    drop(files);
    assert_eq!((text(LOCK), text("other")), (String::new(), "7\n".into()));
}

#[test]
fn a_lock_that_was_taken_before_is_the_one_that_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open_directory(directory.path()).unwrap();
    let lock = crate::driver::lock::lock_directory(opened.as_fd(), |_| {}).unwrap();
    let mut files = FileExecutor::new(opened).with_lock(lock);
    let file = open(&mut files, LOCK, EXISTING).unwrap();
    let locked = files.run(FileOp::LockExclusive(file));
    assert_eq!(locked, Ok(FileValue::Done));
}

#[test]
fn direct_files_take_unaligned_memory_but_only_whole_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = executor(directory.path());
    let file = match open(&mut files, "direct", DIRECT) {
        Ok(file) => file,
        Err(error) => return flk_testkit::skipped(&format!("no direct IO here: {error}")),
    };
    let block: Vec<u8> = (0..4096u32).map(|i| i as u8).collect();
    assert_eq!(
        write_at(&mut files, file, 4096, &block),
        Ok(FileValue::Written(4096))
    );
    assert_eq!(
        read_at(&mut files, file, 4096, 8192),
        Ok(FileValue::Bytes(block)),
        "shorter only where the file ends"
    );
}

#[test]
fn zeros_take_the_place_of_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = executor(directory.path());
    let file = open(&mut files, "zeroed", MAKE).unwrap();
    write_at(&mut files, file, 0, &[7; 10_000]).unwrap();
    for (offset, bytes) in [(1_000, 500), (4_096, 4_096)] {
        let op = FileOp::Zero {
            file,
            offset,
            bytes,
        };
        assert_eq!(files.run(op), Ok(FileValue::Written(bytes)));
    }
    let mut expected = vec![7; 10_000];
    expected[1_000..1_500].fill(0);
    expected[4_096..8_192].fill(0);
    assert_eq!(
        read_at(&mut files, file, 0, 20_000),
        Ok(FileValue::Bytes(expected))
    );
}

#[test]
fn an_exclusive_lock_shuts_out_other_descriptors_of_the_same_process() {
    let directory = tempfile::tempdir().unwrap();
    let (mut one, mut two) = (executor(directory.path()), executor(directory.path()));
    let mine = open(&mut one, "lock", MAKE).unwrap();
    let other = open(&mut two, "lock", EXISTING).unwrap();
    assert_eq!(one.run(FileOp::LockExclusive(mine)), Ok(FileValue::Done));
    let refused = Err(Errno(libc::EAGAIN));
    assert_eq!(two.run(FileOp::LockExclusive(other)), refused);
    assert_eq!(two.run(FileOp::LockShared(other)), refused);
    assert_eq!(one.run(FileOp::Unlock(mine)), Ok(FileValue::Done));
    assert_eq!(two.run(FileOp::LockShared(other)), Ok(FileValue::Done));
    assert_eq!(one.run(FileOp::LockShared(mine)), Ok(FileValue::Done));
    assert_eq!(two.run(FileOp::Close(other)), Ok(FileValue::Done));
    assert_eq!(one.run(FileOp::LockExclusive(mine)), Ok(FileValue::Done));
}

#[test]
fn nothing_leads_out_of_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/null", directory.path().join("link")).unwrap();
    let mut files = executor(directory.path());
    for name in ["../x", "a/b", "..", ".", ""] {
        assert_eq!(
            open(&mut files, name, MAKE),
            Err(Errno(libc::EINVAL)),
            "{name}"
        );
    }
    assert_eq!(open(&mut files, "link", EXISTING), Err(Errno(libc::ELOOP)));
}

#[test]
fn space_is_that_of_the_file_system_and_random_bytes_differ() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = executor(directory.path());
    match files.run(FileOp::Space) {
        Ok(FileValue::Space {
            total_bytes,
            free_bytes,
        }) => assert!(total_bytes >= free_bytes && total_bytes > 0),
        other => panic!("unexpected {other:?}"),
    }
    let one = files.run(FileOp::Random(32)).unwrap();
    assert!(matches!(&one, FileValue::Bytes(bytes) if bytes.len() == 32));
    assert_ne!(files.run(FileOp::Random(32)).unwrap(), one);
}
