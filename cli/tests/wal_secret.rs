//! `flk wal secret generate`: a file that only its owner can read, with a secret that no other file has.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{flk, run};
use flk_dataplane::wal::secret::Secret;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn a_secret_is_made_once_for_its_owner_alone_and_is_never_printed() {
    let dir = tempfile::tempdir().unwrap();
    let generate = |out: &[&str]| {
        let args = [&["wal", "secret", "generate"], out].concat();
        run(flk(dir.path()).args(args), b"")
    };
    let mut made = Vec::new();
    for name in ["first", "second"] {
        let ran = generate(&["--out", name]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let said = format!("wrote {name}: for the first start of each gateway");
        assert!(ran.stdout.starts_with(&said), "{}", ran.stdout);
        let path = dir.path().join(name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        made.push(Secret::decode(&fs::read(&path).unwrap()).unwrap());
    }
    assert!(made[0].id != made[1].id && made[0].key != made[1].key);
    assert!(made[0].id != made[0].key);

    let again = generate(&["--out", "first"]);
    assert_eq!(again.code, 2);
    assert!(
        again.stderr.contains("first is there already"),
        "{}",
        again.stderr
    );
    let kept = fs::read(dir.path().join("first")).unwrap();
    assert_eq!(Secret::decode(&kept), Ok(made[0]));
    assert_eq!(generate(&[]).code, 2, "--out is required");
    assert_eq!(generate(&["--out", "no/such/directory"]).code, 74);
    let printed = generate(&["--out", "-"]);
    assert_eq!((printed.code, printed.stdout.as_str()), (2, ""));
    assert!(printed.stderr.contains("a secret is never printed"));
    assert!(!dir.path().join("-").exists());
}

#[test]
fn nothing_is_left_of_a_secret_that_could_not_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let program = flk(dir.path()).get_program().to_owned();
    // No file may have a byte, and a write fails instead of ending the process.
    let script = "ulimit -f 0; exec \"$0\" wal secret generate --out kept";
    let mut limited = Command::new("bash");
    limited.current_dir(dir.path()).args(["-c", script]);
    let ran = run(limited.arg(program), b"");
    assert_eq!(ran.code, 74, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("flk: cannot make kept: "));
    assert!(ran.stderr.contains("(ulimit -f; "), "{}", ran.stderr);
    assert!(!dir.path().join("kept").exists());
}
