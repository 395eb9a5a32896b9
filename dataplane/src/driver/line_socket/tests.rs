//! The line socket with real clients: lines and answers, places, and who may ask for what.

use super::*;
use crate::driver::directory::open_directory;
use crate::wal::files::SOCKET;

const LINE_BYTES_MAX: usize = 64 * 1024;

fn lines(commands: &mut LineSocket) -> Vec<(CommandId, String)> {
    let mut lines = Vec::new();
    commands.work(0, &mut lines);
    lines
}

fn listen(path: &Path) -> (LineSocket, PathBuf) {
    let opened = open_directory(path).unwrap();
    let commands = LineSocket::listen(opened.as_fd(), path, SOCKET, LINE_BYTES_MAX).unwrap();
    (commands, path.join(SOCKET))
}

fn answer(stream: &mut UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn lines_become_commands_and_answers_find_their_client() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(120));
    for path in [directory.path(), &deep] {
        let opened = open_directory(path).unwrap();
        let mut commands =
            LineSocket::listen(opened.as_fd(), path, SOCKET, LINE_BYTES_MAX).unwrap();
        let mode = path.join(SOCKET).metadata().unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let mut one = UnixStream::connect(socket_path(opened.as_fd(), path, SOCKET)).unwrap();
        let mut two = UnixStream::connect(socket_path(opened.as_fd(), path, SOCKET)).unwrap();
        one.write_all(b"flk1 pin\r\nflk1 com").unwrap();
        two.write_all(b"flk1 unpin 7\n").unwrap();
        two.shutdown(std::net::Shutdown::Write).unwrap();
        let mut first = lines(&mut commands);
        first.sort_by(|a, b| a.1.cmp(&b.1));
        assert_eq!(first[0].1, "flk1 pin");
        assert_eq!(first[1].1, "flk1 unpin 7");
        commands.reply(first[1].0, "ok two");
        commands.reply(first[0].0, "ok one");
        one.write_all(b"pact\n").unwrap();
        one.shutdown(std::net::Shutdown::Write).unwrap();
        let second = lines(&mut commands);
        assert_eq!(second[0].1, "flk1 compact");
        commands.reply(second[0].0, "ok three");
        assert!(lines(&mut commands).is_empty());
        assert_eq!(answer(&mut two), "ok two\n");
        assert_eq!(answer(&mut one), "ok one\nok three\n");
        assert!(commands.clients.is_empty());
    }
}

#[test]
fn who_asks_for_the_statistics_gets_their_memory_and_goes_on() {
    use crate::driver::statistics::{Reader, publish};
    let directory = tempfile::tempdir().unwrap();
    let (mut commands, socket) = listen(directory.path());
    let published = publish(3).unwrap();
    commands.publish(Some(published.memory));
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| Reader::ask(&socket).unwrap());
        while !asks.is_finished() {
            assert!(lines(&mut commands).is_empty());
        }
        assert_eq!(asks.join().unwrap().shards_count(), 3);
    });
    commands.publish(None);
    let mut client = UnixStream::connect(&socket).unwrap();
    client.write_all(b"flk1 statistics\nflk1 pin\n").unwrap();
    assert!(lines(&mut commands).is_empty());
    assert_eq!(lines(&mut commands)[0].1, "flk1 pin");
    drop(commands);
    assert!(answer(&mut client).starts_with("error "));
}

#[test]
fn a_client_that_may_ask_for_nothing_gets_an_error_for_each_line_and_no_memory() {
    let directory = tempfile::tempdir().unwrap();
    let (mut commands, socket) = listen(directory.path());
    let published = crate::driver::statistics::publish(1).unwrap();
    commands.publish(Some(published.memory));
    let mut client = UnixStream::connect(&socket).unwrap();
    assert!(lines(&mut commands).is_empty());
    for accepted in commands.clients.values_mut() {
        accepted.allowed = Allowed::Nothing;
    }
    client
        .write_all(b"flk1 statistics\nflk1 pin\nflk1 hold list\n")
        .unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    while !commands.clients.is_empty() {
        assert!(lines(&mut commands).is_empty());
    }
    let answers = answer(&mut client);
    assert_eq!(answers.lines().count(), 3, "{answers}");
    for line in answers.lines() {
        assert!(line.starts_with("error this needs user"), "{line}");
    }
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_ours_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(directory.path().join(SOCKET)).unwrap());
    let (commands, socket) = listen(directory.path());
    UnixStream::connect(&socket).unwrap();
    drop(commands);
    assert!(!socket.exists());
}

#[test]
fn clients_that_ask_for_nothing_keep_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let (mut commands, socket) = listen(directory.path());
    let mut idle: Vec<UnixStream> = Vec::new();
    for _ in 0..3 * CLIENTS_MAX {
        let mut client = UnixStream::connect(&socket).unwrap();
        client.write_all(b"flk1 never ends").unwrap();
        idle.push(client);
        assert!(lines(&mut commands).is_empty());
    }
    let mut one = UnixStream::connect(&socket).unwrap();
    one.write_all(b"flk1 status\n").unwrap();
    let asked = lines(&mut commands);
    assert_eq!(asked.len(), 1);
    assert_eq!(commands.clients.len(), CLIENTS_MAX);
    // It has a command under way: the idle ones go before it.
    for _ in 0..2 * CLIENTS_MAX {
        idle.push(UnixStream::connect(&socket).unwrap());
        assert!(lines(&mut commands).is_empty());
    }
    commands.reply(asked[0].0, "ok");
    one.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(lines(&mut commands).is_empty());
    assert_eq!(answer(&mut one), "ok\n");
}

#[test]
fn a_client_that_does_not_read_its_answers_holds_one_and_gets_no_further_command_in() {
    let directory = tempfile::tempdir().unwrap();
    let (mut commands, socket) = listen(directory.path());
    let mut client = UnixStream::connect(&socket).unwrap();
    client.set_nonblocking(true).unwrap();
    let long = "x".repeat(100_000);
    let mut commands_count = 0;
    for _ in 0..100 {
        // As much as the socket takes, ahead of all answers.
        while client.write(b"flk1 status\n").is_ok_and(|bytes| bytes > 0) {}
        let asked = lines(&mut commands);
        assert!(asked.len() <= 1);
        for (id, _) in asked {
            commands_count += 1;
            commands.reply(id, &long);
        }
        let held = commands.clients.values().next().unwrap();
        assert!(held.output.len() <= long.len() + 1);
        assert!(held.input.len() <= LINE_BYTES_MAX + 4096);
    }
    assert!((1..50).contains(&commands_count), "{commands_count}");
    assert!(commands.asked.len() <= 1);
}

#[test]
fn a_line_without_an_end_costs_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let (mut commands, socket) = listen(directory.path());
    let client = UnixStream::connect(&socket).unwrap();
    client.set_nonblocking(true).unwrap();
    let mut lost = false;
    for _ in 0..100 {
        lost |= (&client)
            .write(&[b'x'; 4096])
            .is_err_and(|error| error.kind() != ErrorKind::WouldBlock);
        assert!(lines(&mut commands).is_empty());
    }
    assert!(lost && commands.clients.is_empty());
}
