//! The process itself: killed at any moment, twice in one directory, with its parent gone, under a service manager.

use crate::fake::Fault;
use crate::world::{Control, World, text};
use flk_control::audit;
use flk_testkit::child::Signal;
use flk_testkit::process::Process;
use flk_testkit::{DEADLINE, Dice, wait_until};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn killed_at_any_moment_it_publishes_the_file_in_the_end_and_its_audit_log_holds() {
    let world = World::with_rate(1000);
    let mut dice = Dice::new(9);
    for round in 1..=12_u32 {
        world.set_rate(1000 + round);
        let mut process = Process::start(world.command()).unwrap();
        // Somewhere between the start and the answer to the publishing.
        std::thread::sleep(Duration::from_micros(dice.below(40_000)));
        process.kill();
        assert_eq!(
            world
                .dataplane
                .published()
                .windows(2)
                .filter(|it| it[0] > it[1])
                .count(),
            0
        );
    }
    let control = world.start();
    wait_until("the file is in force", DEADLINE, || {
        world.dataplane.in_force().limits.rate == 1012
    });
    control.stop();
    let log = std::fs::read(world.audit_path()).unwrap();
    let summary = audit::verify(&log).unwrap();
    assert_eq!(summary.whole_bytes, log.len());
    let published = world.audit();
    for document in 1..=world.dataplane.in_force().number {
        let is_recorded = published
            .iter()
            .any(|line| line["object"]["snapshot"] == document);
        assert!(is_recorded, "snapshot {document} is in no line");
    }
}

#[test]
fn a_second_one_for_the_same_directory_is_refused_and_the_first_goes_on() {
    let world = World::with_rate(1000);
    let control = world.start();
    let ended = Process::start(world.command()).unwrap().ended(DEADLINE);
    assert_eq!(ended.code(), 69, "{}", ended.said);
    assert!(ended.said.contains("another flk-control"), "{}", ended.said);
    assert_eq!(control.post("/v1/reload")["changed"], false);
}

#[test]
fn a_port_that_is_taken_delays_the_api_and_not_the_publishing() {
    let world = World::with_rate(1000);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = world.command();
    command.env("ADMIN_LISTEN", taken.local_addr().unwrap().to_string());
    let process = Process::start(command).unwrap();
    process.wait_until_said("admin API: cannot listen on");
    world.set_rate(2000);
    process.wait_until_said("limits: rate 1000 → 2000");
}

#[test]
fn it_ends_when_its_standard_input_does() {
    let world = World::with_rate(1000);
    let mut command = world.command();
    command.arg("--until-stdin-ends").stdin(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    wait_until("it runs", DEADLINE, || world.audit_path().exists());
    drop(child.stdin.take());
    wait_until("it ends", DEADLINE, || child.try_wait().unwrap().is_some());
}

#[test]
fn the_service_manager_is_told_when_it_is_ready_alive_reloading_and_stopping() {
    let world = World::with_rate(1000);
    let path = world.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut command = world.command();
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000");
    let control = Control::start(command);
    let told = |expected: &str| {
        let mut bytes = [0; 512];
        loop {
            let length = manager.recv(&mut bytes).unwrap();
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.starts_with(expected) {
                return text;
            }
            assert!(text.starts_with("WATCHDOG=1"), "{text} before {expected}");
        }
    };
    told("READY=1");
    told("WATCHDOG=1");
    control.process.signal(Signal::HUP);
    let reloading = told("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    told("READY=1");
    control.stop();
    told("STOPPING=1");
}

#[test]
fn a_log_that_was_changed_is_refused_and_left_as_it_is() {
    let world = World::with_rate(1000);
    let control = world.start();
    world.set_rate(2000);
    control.said("snapshot 1 is in force");
    control.stop();
    let text = std::fs::read_to_string(world.audit_path()).unwrap();
    let changed = text.replace("\"file\"", "\"none\"");
    std::fs::write(world.audit_path(), &changed).unwrap();
    world.set_rate(3000);
    // One more line makes the change visible: the chain goes through the changed line.
    let ended = {
        let control = world.start();
        control.said("snapshot 2 is in force");
        control.stop();
        let log = std::fs::read_to_string(world.audit_path()).unwrap();
        std::fs::write(world.audit_path(), log.replacen("\"none\"", "\"file\"", 1)).unwrap();
        Process::start(world.command()).unwrap().ended(DEADLINE)
    };
    assert_eq!(ended.code(), 65, "{}", ended.said);
    assert!(
        ended.said.contains("line 2: it does not follow"),
        "{}",
        ended.said
    );
}

/// Sets a limit of a running process: `--fsize` stands for a disk that is full.
pub(crate) fn limit(process: &Process, limit: &str) {
    let id = process.id().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &id, limit])
        .status()
        .unwrap();
    assert!(limited.success());
}

/// Control to whom a file that is too long is an error and no signal.
fn start_patient(world: &World) -> Control {
    let direct = world.command();
    let mut command = Command::new("sh");
    command
        .env_clear()
        .envs(
            direct
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(world.path())
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(direct.get_program())
        .args(direct.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Control::start(command)
}

#[test]
fn a_change_that_cannot_be_recorded_is_said_and_published_once_it_can() {
    let world = World::with_rate(1000);
    let control = start_patient(&world);
    world.set_rate(2000);
    control.said("snapshot 1 is in force");
    let bytes = world.audit_path().metadata().unwrap().len() + 10;
    limit(&control.process, &format!("--fsize={bytes}:unlimited"));
    world.set_rate(3000);
    control.said("not published: nothing was changed, for the audit log failed");
    let status = control.get("/v1/status");
    assert_eq!(status["configuration"]["state"], "refused");
    limit(&control.process, "--fsize=unlimited:unlimited");
    assert_eq!(control.post("/v1/reload")["number"], 2);
    let log = std::fs::read(world.audit_path()).unwrap();
    let summary = audit::verify(&log).unwrap();
    assert_eq!((summary.lines, summary.whole_bytes), (2, log.len()));
}

#[test]
fn a_refusal_that_a_full_disk_does_not_take_is_recorded_behind_its_change_and_before_any_other() {
    let world = World::with_rate(1000);
    let control = start_patient(&world);
    world.set_rate(2000);
    control.said("snapshot 1 is in force");
    // One more line of a change, and no line behind it.
    let bytes = world.audit_path().metadata().unwrap().len() * 2 + 5;
    limit(&control.process, &format!("--fsize={bytes}:unlimited"));
    world.dataplane.order(&[Fault::Refuse]);
    world.set_rate(3000);
    control.said("not published: the data plane refuses it (key)");
    control.said("the line that says so follows before any other change");
    world.set_rate(4000);
    control.said("not published: nothing was changed, for the audit log failed");
    assert_eq!(world.dataplane.published(), [1, 2]);
    assert_eq!(world.audit().len(), 2);
    limit(&control.process, "--fsize=unlimited:unlimited");
    control.said("the refusal that the audit log owed is recorded now");
    assert_eq!(control.post("/v1/reload")["number"], 2);
    let lines = world.audit();
    let of =
        |name: &str| -> Vec<&str> { lines.iter().map(|it| it[name].as_str().unwrap()).collect() };
    assert_eq!(of("action"), ["publish", "publish", "refused", "publish"]);
    assert!(of("time").is_sorted());
    assert_eq!(lines[2]["object"]["code"], "key");
    assert_eq!(lines[2]["object"]["snapshot"], 2);
    audit::verify(&std::fs::read(world.audit_path()).unwrap()).unwrap();
}

#[test]
fn a_key_of_a_tenant_in_a_variable_of_any_name_is_not_in_the_block_of_the_process() {
    let world = World::with_rate(1000);
    world.set_text(&format!(
        "{}[[tenants]]\nid = \"acme\"\n[[tenants.keys]]\nid = \"a\"\nenv = \"ACME\"\n",
        text(1000)
    ));
    let mut command = world.command();
    command.env("ACME", "a key of a tenant, 32 bytes or so");
    let control = Control::start(command);
    control.said("tenant acme: added, 1 key");
    let block = std::fs::read(format!("/proc/{}/environ", control.process.id()));
    let block = String::from_utf8_lossy(&block.unwrap()).into_owned();
    assert!(block.contains("ACME=") && !block.contains("of a tenant"));
}
