//! Submitting whose output closes or fails, and Ctrl-C: what was sent is said, and what was not.

use super::*;

/// The output may be a pager or `head`: what is not shown any more must not pass for sent.
#[test]
fn a_closed_output_stops_the_sending_and_says_what_was_sent() {
    let file = file_of(4000);
    // More lines than a pipe holds, so that some are written after it was closed.
    let (server, release) = accepting_below(400);
    let path = file.path().to_str().unwrap();
    let mut child = start(
        &server.url(),
        &["--concurrency", "4", "--timeout", "1s", path],
    );
    let mut first = String::new();
    let mut stdout = BufReader::with_capacity(64, child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    assert!(first.contains("200 accepted"), "{first}");
    drop(stdout);
    let (code, said) = end(child);
    drop(release);
    assert_eq!(code, 74, "{said}");
    assert!(said.contains("the output was closed"), "{said}");
    let line = said.lines().find(|it| it.contains("answered")).unwrap();
    let numbers: Vec<usize> = line
        .split(|it: char| !it.is_ascii_digit())
        .filter_map(|it| it.parse().ok())
        .collect();
    let [sent, answered, unsent, from] = numbers[..] else {
        panic!("{line}")
    };
    assert_eq!(sent + unsent, 4000, "{line}");
    assert_eq!(sent, server.requests().len(), "{line}");
    assert!((1..410).contains(&answered), "{line}");
    assert_eq!(from, answered + 1, "{line}");
}

#[test]
fn an_output_that_closes_when_all_was_sent_is_no_failure() {
    let (server, release) = accepting_below(0);
    let mut child = start(&server.url(), &["-"]);
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(records(1).as_bytes()).unwrap();
    drop(stdin);
    drop(release);
    let (code, said) = end(child);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("the output was closed"), "{said}");
    assert!(said.contains("1 accepted"), "{said}");
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure_even_if_all_was_sent() {
    let server = Server::answering(|_, _| accepted("miss"));
    let dir = tempfile::tempdir().unwrap();
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut command = flk(dir.path());
    command.args(["pcs", "submit", "--url", &server.url()]);
    let file = file_of(2);
    let ran = command.arg(file.path()).stdout(full).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(74), "{said}");
    assert!(said.contains("no space is left"), "{said}");
}

/// Waits until the server has had so many requests.
fn wait_for(server: &Server, count: usize) {
    let what = format!("{count} requests");
    wait_until(&what, DEADLINE, || server.requests().len() >= count);
}

#[test]
fn ctrl_c_prints_the_summary_whether_quiet_or_not() {
    let file = file_of(100);
    let path = file.path().to_str().unwrap();
    for (ends, args) in [(Signal::INT, &["-q", path][..]), (Signal::TERM, &[path])] {
        let (server, release) = accepting_below(3);
        let args = [args, &["--concurrency", "2"]].concat();
        let mut child = start(&server.url(), &args);
        wait_for(&server, 5);
        signal(&child, ends);
        let stdout = child.stdout.take();
        let (code, said) = end(child);
        drop((release, stdout));
        assert_eq!(code, 130, "{said}");
        assert!(said.contains("flk: interrupted"), "{said}");
        let state = "5 sent, 3 answered, 95 not sent; send again from input line 4 on";
        assert!(said.contains(state), "{said}");
        assert_eq!(server.requests().len(), 5);
    }
}

/// The writer of a pipe may never end, so what it has not written cannot be counted.
#[test]
fn ctrl_c_does_not_wait_for_the_rest_of_a_pipe() {
    let (server, release) = accepting_below(1);
    let mut child = start(&server.url(), &["-q", "-"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(records(1).as_bytes()).unwrap();
    stdin.flush().unwrap();
    wait_for(&server, 1);
    signal(&child, Signal::INT);
    let (code, said) = end(child);
    drop((release, stdin));
    assert_eq!(code, 130, "{said}");
    assert!(said.contains("1 sent, "), "{said}");
}
