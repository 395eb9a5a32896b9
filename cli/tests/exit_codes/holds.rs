//! Exit codes of the commands on holds: each that their help lists is met, and no other.

use super::common::{flk, run};
use super::{Cases, Keeper, harm, log_directory, of_a_newer_format};

#[test]
fn what_changes_a_hold() {
    let (served, _) = log_directory();
    for (words, more) in [
        (&["wal", "hold", "set"], &["backup"][..]),
        (&["wal", "hold", "move"], &["backup", "1.0:1"]),
        (&["wal", "hold", "list"], &[]),
        (&["wal", "hold", "drop"], &["backup"]),
    ] {
        let mut cases = Cases::of(words);
        let is_list = words[2] == "list";
        let (dir, _) = log_directory();
        let path = dir.path();
        if !is_list {
            cases.check(if words[2] == "set" { 0 } else { 2 }, path, more, b"");
            let yes = Keeper::saying("ok\n");
            cases.check(0, yes.path(), more, b"");
        } else {
            cases.check(0, path, more, b"");
        }
        cases.check_full(Keeper::saying("ok {}\n").path(), more, b"");
        cases.check(1, Keeper::saying("error no\n").path(), more, b"");
        let quickly = [more, &["--timeout", "50ms"]].concat();
        cases.check(69, Keeper::silent().path(), &quickly, b"");
        cases.check(2, path, &[more, &["--dir", "absent"]].concat(), b"");
        cases.check(2, path, &[more, &["--timeout", "0s"]].concat(), b"");
        harm(path, "manifest");
        cases.check(65, path, more, b"");
        if is_list {
            let (newer, _) = log_directory();
            of_a_newer_format(newer.path());
            cases.check(78, newer.path(), more, b"");
        }
        cases.end(&[]);
    }
    let wrong = |more: &[&str]| {
        let ran = run(flk(served.path()).args(["wal", "hold"]).args(more), b"");
        assert_eq!(ran.code, 2, "{more:?}: {}", ran.stderr);
    };
    wrong(&["set", "two words"]);
    wrong(&["set", "backup", "--owner", "of: many"]);
    wrong(&["set", "backup", "1.0:x"]);
    wrong(&["move", "backup"]);
}
