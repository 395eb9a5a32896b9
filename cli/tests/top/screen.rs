//! The live screen, in a terminal that tmux provides: what is on it, and what is left of it afterwards.

use crate::started;
use flk_testkit::{DEADLINE, skipped, wait_until};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A terminal in which a shell runs `flk top`, then tells how that ended and how the terminal is set.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// `None` where there is no tmux.
    fn start(dir: &Path, name: &str, variables: &str) -> Option<Terminal> {
        let terminal = Terminal {
            socket: dir.join(format!("{name}.tmux")),
        };
        let program = env!("CARGO_BIN_EXE_flk");
        let script = format!(
            "echo before; sh -c 'echo $$ > {name}.pid; exec env {variables} {program} top --interval 200ms'; \
             echo \"ended $?\"; stty -a; echo over; cat"
        );
        let size = ["-x", "120", "-y", "40"];
        let started = terminal
            .tmux(&["-f", "/dev/null", "new-session", "-d"], dir)
            .args(size)
            .arg(script)
            .output();
        if started.is_err() {
            skipped("the screen of flk top: there is no tmux here");
            return None;
        }
        let started = started.unwrap();
        assert!(started.status.success(), "{started:?}");
        Some(terminal)
    }

    fn tmux(&self, args: &[&str], dir: &Path) -> Command {
        let mut command = Command::new("tmux");
        command.current_dir(dir).arg("-S").arg(&self.socket);
        command
            .args(args)
            .env_remove("TMUX")
            .env_remove("WAL_DIR")
            .env_remove("NO_COLOR");
        command
    }

    fn ask(&self, args: &[&str]) -> Output {
        self.tmux(args, Path::new("/")).output().unwrap()
    }

    /// What is on the screen, with escape sequences of attributes.
    fn shown(&self) -> String {
        let shown = self.ask(&["capture-pane", "-p", "-e"]).stdout;
        String::from_utf8(shown).unwrap()
    }

    fn wait_for(&self, what: &str) {
        wait_until(what, DEADLINE, || self.shown().contains(what));
    }

    fn press(&self, key: &str) {
        assert!(self.ask(&["send-keys", key]).status.success());
    }

    /// It ended with success, and the terminal is the one from before.
    fn is_restored(&self) {
        self.wait_for("over");
        let shown = self.shown();
        assert!(shown.starts_with("before\nended 0\n"), "{shown}");
        let words: Vec<&str> = shown.split_ascii_whitespace().collect();
        for setting in ["icanon", "isig", "echo"] {
            assert!(words.contains(&setting), "{setting}: {shown}");
        }
        let cursor = self.ask(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(String::from_utf8(cursor.stdout).unwrap(), "0 1\n");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.ask(&["kill-server"]);
    }
}

#[test]
fn keys_work_and_every_end_gives_the_terminal_back() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gateway = started(dir);
    let Some(terminal) = Terminal::start(dir, "quit", "") else {
        return;
    };
    terminal.wait_for("REQ/Sv");
    let shown = terminal.shown();
    assert!(
        shown.starts_with("flk top  data/wal  every 200ms"),
        "{shown}"
    );
    assert!(!shown.contains("before"), "{shown}");
    assert!(shown.contains("\u{1b}[1mSHARD"), "{shown:?}");
    for (key, expect) in [
        ("p", "by requests_per_s  PAUSED"),
        ("s", "by cpu  PAUSED"),
        ("r", "CPU^"),
        ("+", "every 500ms"),
        ("-", "every 200ms"),
    ] {
        terminal.press(key);
        terminal.wait_for(expect);
    }
    terminal.press("q");
    terminal.is_restored();

    let terminal = Terminal::start(dir, "interrupt", "NO_COLOR=1").unwrap();
    terminal.wait_for("REQ/Sv");
    assert!(
        !terminal.shown().contains('\u{1b}'),
        "{:?}",
        terminal.shown()
    );
    terminal.press("C-c");
    terminal.is_restored();

    let terminal = Terminal::start(dir, "terminate", "").unwrap();
    terminal.wait_for("REQ/Sv");
    // A gateway that ends leaves its last numbers, and the reason why there are no new ones.
    assert_eq!(gateway.stop(), 0);
    terminal.wait_for("no gateway serves from data/wal");
    assert!(terminal.shown().contains("REQ/Sv"), "{}", terminal.shown());
    let pid = std::fs::read_to_string(dir.join("terminate.pid")).unwrap();
    let killed = Command::new("kill").args(["-TERM", pid.trim()]).status();
    assert!(killed.unwrap().success());
    terminal.is_restored();
}
