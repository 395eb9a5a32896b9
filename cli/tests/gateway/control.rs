//! The control process beside the gateway of `flk up`: reload and rollback by commands, and its end in every way.

use crate::common::{Ran, flk, run};
use crate::gateway::{Gateway, up};
use flk_testkit::client::Connection;
use flk_testkit::process::Process;
use flk_testkit::records::{KEY, record};
use flk_testkit::{DEADLINE, Dice, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn write(dir: &Path, rate: u32) {
    let aside = dir.join("flk.toml~");
    std::fs::write(&aside, format!("[limits]\nrate = {rate}\n")).unwrap();
    std::fs::rename(aside, dir.join("flk.toml")).unwrap();
}

fn ask(dir: &Path, admin: &str, args: &[&str]) -> Ran {
    run(flk(dir).args(args).args(["--admin", admin]), b"")
}

/// Processes that this one started and that still run, as the kernel lists them.
fn children(pid: u32) -> Vec<u32> {
    let of_thread = |tid: std::fs::DirEntry| std::fs::read_to_string(tid.path().join("children"));
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let texts = threads.into_iter().flatten().flatten().map(of_thread);
    let texts: Vec<String> = texts.flatten().collect();
    let numbers = texts.iter().flat_map(|text| text.split_ascii_whitespace());
    numbers.map(|number| number.parse().unwrap()).collect()
}

fn is_there(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|it| it.chars().next());
    state.is_some_and(|state| state != 'Z')
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_changed_file_is_in_force_without_a_restart_and_can_be_rolled_back() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, 100_000);
    let gateway = Gateway::start_with(dir, &[("FLK_CONFIG", "flk.toml")]);
    let admin = gateway.admin();
    gateway.wait_until_said("the data plane answers: snapshot 0 is in force");
    write(dir, 200_000);
    gateway.wait_until_said("limits: rate 100000 → 200000");
    let history = ask(dir, &admin, &["config", "history"]);
    assert!(history.stdout.contains("     1  "), "{history:?}");
    assert!(
        history.stdout.trim_end().ends_with("in force"),
        "{history:?}"
    );
    let rolled = ask(dir, &admin, &["config", "rollback", "0"]);
    assert_eq!(rolled.code, 0, "{rolled:?}");
    assert_eq!(
        rolled.stdout,
        "snapshot 2 is in force\n  limits: rate 200000 → 100000\n"
    );
    let reloaded = ask(dir, &admin, &["config", "reload"]);
    assert!(
        reloaded.stdout.starts_with("snapshot 3 is in force"),
        "{reloaded:?}"
    );
    let missing = ask(dir, &admin, &["config", "rollback", "77"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    let status = ask(dir, &admin, &["control", "status"]);
    assert!(
        status.stdout.contains("\"state\": \"in_force\""),
        "{status:?}"
    );
    let keys = "keys = [{ id = \"a\", file = \"absent-1\" }, { id = \"b\", file = \"absent-2\" }]";
    let wrong = format!("[limits]\nrate = 1\n[[tenants]]\nid = \"acme\"\n{keys}\n");
    std::fs::write(dir.join("flk.toml"), wrong).unwrap();
    let refused = ask(dir, &admin, &["config", "reload"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for (line, expected) in refused
        .stderr
        .lines()
        .zip(["is wrong", "absent-1", "absent-2"])
    {
        assert!(line.contains(expected), "{refused:?}");
    }
    assert_eq!(refused.stderr.lines().count(), 3, "{refused:?}");
    assert_eq!(gateway.stop(), 0);
    let verified = run(flk(dir).args(["control", "audit", "verify"]), b"");
    assert!(
        verified.stdout.starts_with("3 lines, each follows"),
        "{verified:?}"
    );
}

#[test]
fn both_processes_show_the_metrics_that_are_declared_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, 100_000);
    let gateway = Gateway::start_with(
        dir,
        &[
            ("FLK_CONFIG", "flk.toml"),
            ("METRICS_USER", "prom"),
            ("METRICS_PASS", "sesame"),
        ],
    );
    gateway.wait_until_said("the data plane answers: snapshot 0 is in force");
    let admin = format!("http://{}", gateway.admin());
    let urls = [gateway.url.clone(), admin];
    let check = |urls: &[String], password: &str| {
        let mut command = flk(dir);
        command.args(["doctor", "--telemetry"]);
        command.args(urls.iter().flat_map(|url| ["--url", url.as_str()]));
        command.envs([("METRICS_USER", "prom"), ("METRICS_PASS", password)]);
        run(&mut command, b"")
    };
    let ran = check(&urls, "sesame");
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(
        lines[0].ends_with("families of flk-dataplane, all as declared"),
        "{ran:?}"
    );
    assert!(
        lines[1].ends_with("families of flk-dataplane and flk-control, all as declared"),
        "{ran:?}"
    );
    let refused = check(&urls, "wrong");
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.stdout.contains("it answers 401"), "{refused:?}");
    assert_eq!(gateway.stop(), 0);
    let gone = check(&urls[..1], "sesame");
    assert_eq!(gone.code, 69, "{gone:?}");
}

#[test]
fn a_control_process_that_ends_is_started_again_and_traffic_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    gateway.admin();
    let [control] = children(gateway.pid())[..] else {
        panic!("one child");
    };
    kill(control);
    let other = || {
        children(gateway.pid())
            .into_iter()
            .find(|it| *it != control)
    };
    wait_until("another one runs", DEADLINE, || other().is_some());
    gateway.wait_until_said("traffic is served on");
    assert_eq!(gateway.submit(dir.path(), b"{}").code, 1, "it answers");
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn a_history_while_the_gateway_is_away_says_so_and_what_was_in_force_last() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, 1_000);
    let plan = up(dir)
        .with_arguments(&["--port", "0", "--no-control", "--config", "flk.toml"])
        .with("PCS_HMAC_KEY", KEY);
    let gateway = plan.launch().unwrap();
    gateway.wait_until_said("ready in");
    let control = control(dir);
    control.wait_until_said("admin API on http://");
    control.wait_until_said("the data plane answers");
    let said = control.said();
    let admin = said.split("admin API on http://").nth(1).unwrap();
    let admin = admin.split(',').next().unwrap().to_owned();
    let history = |more: &[&str]| ask(dir, &admin, &[&["config", "history"][..], more].concat());
    let before = history(&[]);
    assert!(
        before.stdout.trim_end().ends_with("Z  in force"),
        "{before:?}"
    );
    assert_eq!(gateway.stop().code(), 0);
    control.wait_until_said("the data plane does not answer");
    let after = history(&[]);
    assert_eq!(after.code, 0, "{after:?}");
    assert!(
        after
            .stdout
            .trim_end()
            .ends_with("in force last; the gateway does not answer"),
        "{after:?}"
    );
    assert!(
        after.stderr.contains("this is what it said last"),
        "{after:?}"
    );
    let rows = history(&["--output", "json"]).json();
    assert!(rows[0]["in_force"].is_null() && rows[0]["in_force_last"] == true);
}

/// Sends new records one after the other until the test is over; each must be accepted. Their number.
fn load(address: SocketAddr, client: u64, is_over: &AtomicBool) -> u64 {
    let mut connection = Connection::open(address).unwrap();
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let record = record(client << 32 | count);
        let answer = connection.post(&record.body).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(record.is_outcome(&answer.body), "{answer:?}");
        count += 1;
    }
    count
}

/// A control process of its own for the gateway of this directory.
fn control(dir: &Path) -> Process {
    let mut command = flk(dir);
    command
        .args(["control", "run", "--config", "flk.toml"])
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("PCS_HMAC_KEY", KEY)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    Process::start(command).unwrap()
}

#[test]
fn killing_control_at_any_moment_fails_no_request_and_the_file_is_in_force_in_the_end() {
    const ROUNDS: u32 = 20;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, 1_000_000);
    let plan = up(dir)
        .with_arguments(&["--port", "0", "--no-control", "--config", "flk.toml"])
        .with("PCS_HMAC_KEY", KEY);
    let gateway = plan.launch().unwrap();
    gateway.wait_until_said("ready in");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let address = gateway.address();
        let is_over = &is_over;
        let loads = [0, 1].map(|client| scope.spawn(move || load(address, client, is_over)));
        // Ended in any case, so that a failure here is not a test that hangs.
        let rounds = std::panic::catch_unwind(|| {
            let mut dice = Dice::new(7);
            for round in 1..=ROUNDS {
                write(dir, 1_000_000 + round);
                let mut process = control(dir);
                // Anywhere from its start to behind the answer of the data plane.
                std::thread::sleep(Duration::from_micros(dice.below(400_000)));
                process.kill();
            }
            let mut last = control(dir);
            last.wait_until_said("the data plane answers");
            wait_until("the file is in force", DEADLINE, || {
                let status = std::fs::read_dir(dir.join("data/wal/snapshots"));
                let files = status.into_iter().flatten().flatten();
                let texts = files.filter_map(|it| std::fs::read_to_string(it.path()).ok());
                let rate = format!("\"rate\":{}", 1_000_000 + ROUNDS);
                texts.into_iter().any(|text| text.contains(&rate))
            });
            assert_eq!(last.stop().code(), 0);
        });
        is_over.store(true, Ordering::Relaxed);
        for load in loads {
            assert!(load.join().unwrap() > 50);
        }
        rounds.unwrap();
    });
    assert_eq!(gateway.stop().code(), 0);
    let verified = run(flk(dir).args(["control", "audit", "verify"]), b"");
    assert_eq!(verified.code, 0, "{verified:?}");
}

#[test]
fn no_control_process_outlives_its_gateway() {
    let dir = tempfile::tempdir().unwrap();
    for end in [Signal::TERM, Signal::KILL] {
        let gateway = Gateway::start(dir.path());
        gateway.admin();
        let started = children(gateway.pid());
        assert_eq!(started.len(), 1);
        kill_process(Pid::from_raw(gateway.pid() as i32).unwrap(), end).unwrap();
        wait_until("it has ended", DEADLINE, || !is_there(started[0]));
    }
}

#[test]
fn control_is_given_the_settings_and_no_other_variable() {
    const SECRET: &str = "this secret is not for control";
    let dir = tempfile::tempdir().unwrap();
    let tenants = "[[tenants]]\nid = \"acme\"\nkeys = [{ id = \"a\", env = \"ACME_KEY\" }]\n";
    std::fs::write(dir.path().join("flk.toml"), tenants).unwrap();
    let gateway = Gateway::start_with(
        dir.path(),
        &[
            ("FLK_CONFIG", "flk.toml"),
            ("ACME_KEY", "a key of acme, which is 32 bytes or more"),
            ("PCS_HMAC_KEY", KEY),
            ("METRICS_USER", "prometheus"),
            ("METRICS_PASS", "a password of the page"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("PCS_ED25519_PRIV_B64", SECRET),
            ("PCS_HMAC_KYE", SECRET),
        ],
    );
    let admin = gateway.admin();
    gateway.wait_until_said("the data plane answers: snapshot 0 is in force");
    let [control] = children(gateway.pid())[..] else {
        panic!("one child");
    };
    let block = |pid: u32| {
        let block = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        String::from_utf8_lossy(&block).into_owned()
    };
    let given = block(control);
    let mut names: Vec<&str> = given
        .split('\0')
        .filter_map(|it| it.split('=').next())
        .collect();
    names.retain(|it| !it.is_empty() && !["PATH", "HOME", "LLVM_PROFILE_FILE"].contains(it));
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "ACME_KEY",
            "ADMIN_LISTEN",
            "DEDUP_MEMORY_MAX",
            "FLK_CONFIG",
            "FLK_CORES",
            "METRICS_PASS",
            "METRICS_USER",
            "PCS_HMAC_KEY",
            "PORT",
            "WAL_SEGMENT_BYTES"
        ]
    );
    for secret in [KEY, "a key of acme", "a password", SECRET] {
        assert!(!given.contains(secret), "{secret}");
    }
    for secret in [KEY, "a key of acme", "a password"] {
        assert!(!block(gateway.pid()).contains(secret), "{secret}");
    }
    // It has what it needs: it comes to the same configuration, and may ask for metrics.
    let reloaded = ask(dir.path(), &admin, &["config", "reload"]);
    assert!(
        reloaded.stdout.starts_with("nothing differs"),
        "{reloaded:?}"
    );
    wait_until("metrics are part of the page", DEADLINE, || {
        let mut connection = Connection::open(admin.parse().unwrap()).unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\n\r\n");
        connection.send(request.as_bytes()).unwrap();
        let page = connection.response().unwrap();
        page.text().contains("\nflk_control_scrape_ok 1\n")
    });
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn a_hang_up_is_passed_on_to_control_which_reloads() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path());
    gateway.wait_until_said("the data plane answers: snapshot 0 is in force");
    let hang_up = |gateway: &Gateway| {
        let pid = Pid::from_raw(gateway.pid() as i32).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    };
    hang_up(&gateway);
    gateway.wait_until_said("flk: SIGHUP: flk-control is told to reload");
    gateway.wait_until_said("reloaded: nothing differs, snapshot 0 stays in force");
    assert_eq!(gateway.stop(), 0);

    // At any moment of control's start: it is never ended by it.
    let gateway = Gateway::start(dir.path());
    for _ in 0..50 {
        hang_up(&gateway);
    }
    let said = gateway.wait_until_said("the data plane answers");
    assert!(!said.contains("traffic is served on"), "{said}");
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn a_key_that_the_sandbox_keeps_out_of_reach_is_refused_with_what_to_do() {
    let [dir, elsewhere] = [0; 2].map(|_| tempfile::tempdir().unwrap());
    write(dir.path(), 1000);
    let gateway = Gateway::start_with(dir.path(), &[("FLK_CONFIG", "flk.toml")]);
    gateway.wait_until_said("the data plane answers: snapshot 0 is in force");
    if !gateway.said.contains("Landlock ABI ") {
        return flk_testkit::skipped("a key outside of the sandbox: there is no Landlock");
    }
    let publish = |key: &Path| {
        std::fs::write(key, KEY).unwrap();
        let keys = format!("keys = [{{ id = \"a\", file = {key:?} }}]");
        let text = format!("[[tenants]]\nid = \"acme\"\n{keys}\n");
        std::fs::write(dir.path().join("flk.toml"), text).unwrap();
    };
    publish(&elsewhere.path().join("key"));
    let said = gateway.wait_until_said("not published: ");
    let line = said
        .lines()
        .find(|it| it.contains("not published: "))
        .unwrap();
    for words in [
        "tenant acme, key a: ",
        "the sandbox of the gateway allows only files in directories",
        "restart the gateway",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    publish(&dir.path().join("key"));
    gateway.wait_until_said("tenant acme: added, 1 key");
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn without_control_there_is_no_child() {
    let dir = tempfile::tempdir().unwrap();
    let plan = up(dir.path()).with_arguments(&["--port", "0", "--no-control"]);
    let gateway = plan.launch().unwrap();
    gateway.wait_until_said(" wal inspect");
    assert!(children(gateway.id()).is_empty());
    let pid = Pid::from_raw(gateway.id() as i32).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    gateway.wait_until_said("flk: SIGHUP ignored");
    assert_eq!(gateway.stop().code(), 0);
}

#[test]
fn a_token_and_its_line_are_made_and_only_a_known_role_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let made = run(
        flk(dir.path()).args(["control", "token", "anna", "--role", "observer"]),
        b"",
    );
    assert_eq!(made.code, 0);
    assert!(made.stdout.starts_with("flkadm_"), "{}", made.stdout);
    assert!(made.stderr.contains("anna:observer:"), "{}", made.stderr);
    assert!(!made.stderr.contains(made.stdout.trim()));
    let wrong = run(
        flk(dir.path()).args(["control", "token", "anna", "--role", "root"]),
        b"",
    );
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
}

#[test]
fn without_a_control_process_a_command_says_where_it_looked() {
    let dir = tempfile::tempdir().unwrap();
    let asked = ask(dir.path(), "127.0.0.1:1", &["config", "history"]);
    assert_eq!(asked.code, 69, "{}", asked.stderr);
    assert!(asked.stderr.contains("127.0.0.1:1"), "{}", asked.stderr);
    let verified = run(flk(dir.path()).args(["control", "audit", "verify"]), b"");
    assert_eq!(verified.code, 2, "{}", verified.stderr);
}

#[test]
fn the_service_manager_is_told_of_the_gateway_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let variables = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "200000"),
    ];
    let gateway = Gateway::start_with(dir.path(), &variables);
    gateway.admin();
    let mut heard = Vec::new();
    let mut hear_until = |last: &str| {
        let mut bytes = [0; 512];
        while heard.last().map(String::as_str) != Some(last) {
            let length = manager.recv(&mut bytes).unwrap();
            heard.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        std::mem::take(&mut heard)
    };
    let readies = |heard: &[String]| heard.iter().filter(|it| *it == "READY=1\n").count();
    assert_eq!(readies(&hear_until("READY=1\n")), 1);
    assert_eq!(readies(&hear_until("WATCHDOG=1\n")), 0);
    assert_eq!(gateway.stop(), 0);
    let end = hear_until("STOPPING=1\n");
    assert_eq!(readies(&end), 0, "control under it says nothing: {end:?}");
}
