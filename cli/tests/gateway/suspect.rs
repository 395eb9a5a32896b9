//! A snapshot that makes refusals or escalations jump is named by control within its first minute, and one that does not is not.

use crate::common::{flk, run};
use crate::gateway::up;
use flk_testkit::client::{Connection, submit};
use flk_testkit::gateway::Gateway;
use flk_testkit::process::Process;
use flk_testkit::records::{KEY, record};
use flk_testkit::{DEADLINE, wait_until};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

/// More than a share of answers needs on either side.
const ANSWERS: u64 = 150;

/// Requests that wait for their answers at a time.
const PIPELINE: u64 = 30;

/// A gateway, a control process that looks at its answers often, and the records that were sent.
struct World {
    dir: tempfile::TempDir,
    gateway: Gateway,
    control: Process,
    admin: SocketAddr,
    sent: u64,
}

impl World {
    fn start() -> World {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("agent.key"), KEY).unwrap();
        std::fs::write(dir.path().join("other.key"), "the key of another").unwrap();
        write(dir.path(), "agent.key", "");
        let plan =
            up(dir.path()).with_arguments(&["--port", "0", "--no-control", "--config", "flk.toml"]);
        let gateway = plan.start();
        let mut command = flk(dir.path());
        command
            .args(["control", "run", "--config", "flk.toml"])
            .args(["--dataplane", &gateway.address().to_string()])
            .env("ADMIN_LISTEN", "127.0.0.1:0")
            .env("FLK_TEST_LIMITS", "observe=20ms")
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let control = Process::start(command).unwrap();
        control.wait_until_said("the data plane answers");
        control.wait_until_said("admin API on http://");
        let said = control.said();
        let rest = said.rsplit("admin API on http://").next().unwrap();
        let admin = rest.split(',').next().unwrap().parse().unwrap();
        World {
            dir,
            gateway,
            control,
            admin,
            sent: 0,
        }
    }

    /// Sends new records, whose answers have this status; control has looked at the counters before and behind them.
    fn answer(&mut self, status: u16) {
        self.wait_until_observed();
        let mut connection = self.gateway.connect();
        let mut others = 0;
        for _ in 0..ANSWERS / PIPELINE {
            for _ in 0..PIPELINE {
                self.sent += 1;
                connection.send(&submit(&record(self.sent).body)).unwrap();
            }
            for _ in 0..PIPELINE {
                let answer = connection.response().unwrap();
                others += u64::from(answer.status != status);
            }
        }
        assert!(others <= 20, "{others} answers are not {status}");
        self.wait_until_observed();
    }

    /// Pages of metrics are asked for by control and by this: two more than were asked for here are a whole look.
    fn wait_until_observed(&self) {
        let pages = || {
            let page = self.gateway.get("/metrics");
            let line = page
                .text()
                .lines()
                .find_map(|line| line.strip_prefix("http_requests_total{code=\"200\"} "));
            line.unwrap_or("0").parse::<u64>().unwrap()
        };
        let (before, mut own) = (pages(), 0);
        wait_until("control has looked", DEADLINE, || {
            own += 1;
            pages() - before >= own + 2
        });
    }

    /// Brings another file into force.
    fn publish(&self, key: &str, more: &str) {
        write(self.dir.path(), key, more);
        let mut reload = flk(self.dir.path());
        reload.args(["config", "reload", "--admin", &self.admin.to_string()]);
        let ran = run(&mut reload, b"");
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// What control's page says of a snapshot, once that is the one in force there.
    fn is_suspect(&self, number: u32) -> bool {
        let name = format!("flk_control_snapshot_suspect{{number=\"{number}\"}} ");
        let mut value = None;
        wait_until("control's page names the snapshot", DEADLINE, || {
            let mut connection = Connection::open(self.admin).unwrap();
            let question = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
            connection.send(question).unwrap();
            let page = connection.response().unwrap();
            assert_eq!(page.status, 200, "{page:?}");
            let mut lines = page.text().lines();
            value = lines.find_map(|line| line.strip_prefix(&*name).map(str::to_owned));
            value.is_some()
        });
        value.unwrap() == "1"
    }
}

fn write(dir: &Path, key: &str, more: &str) {
    let key = dir.join(key);
    let text = format!(
        "[[tenants]]\nid = \"default\"\n{more}\n[[tenants.keys]]\nid = \"a\"\nfile = \"{}\"\n",
        key.display()
    );
    let aside = dir.join("flk.toml~");
    std::fs::write(&aside, text).unwrap();
    std::fs::rename(aside, dir.join("flk.toml")).unwrap();
}

/// A parameter set by which every record is escalated.
const STRICT: &str = "params = [{ version = \"strict\", base = 1.0, tol_budget = 0.0 }]";

#[test]
fn a_snapshot_under_which_answers_jump_is_named_and_a_usual_one_is_not() {
    let mut world = World::start();
    world.answer(200);
    world.publish("agent.key", "rate = 1_000_000");
    world.answer(200);
    assert!(!world.is_suspect(1), "{}", world.control.said());

    let changes = [
        ("other.key", "", 401, "wrong key"),
        ("agent.key", STRICT, 202, "escalations"),
        ("agent.key", "rate = 1\nburst = 1", 429, "a limit"),
    ];
    for (number, (key, more, status, why)) in (2..).step_by(2).zip(changes) {
        world.publish(key, more);
        world.answer(status);
        wait_until(why, DEADLINE, || world.is_suspect(number));
        let line = format!("snapshot {number} is suspect: ");
        world.control.wait_until_said(&line);
        let said = world.control.said();
        assert!(
            said.contains(&format!("of all answers are {status}")),
            "{said}"
        );
        // Back to what was good, which is held against nothing.
        world.publish("agent.key", "");
        world.answer(200);
        assert!(!world.is_suspect(number + 1), "{}", world.control.said());
    }
    let said = world.control.said();
    assert_eq!(
        said.matches(" is suspect: ").count(),
        changes.len(),
        "{said}"
    );
    let World {
        mut control,
        gateway,
        ..
    } = world;
    assert_eq!(control.stop().code(), 0);
    assert_eq!(gateway.stop().code(), 0);
}
