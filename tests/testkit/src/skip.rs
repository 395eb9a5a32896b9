//! Parts of tests that this machine cannot run. Each is said where it is skipped, and gathered in one list, because the
//! test runner hides what a passing test prints. It never makes a failure a skip.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write as _;

/// The environment variable that names the file to which skipped parts are appended, one line each. `make test` sets it
/// and prints the list at its end.
pub const SKIPPED_LIST: &str = "FLK_SKIPPED_LIST";

/// Says that a part of a test was skipped, and why. Also appends it to the file that [`SKIPPED_LIST`] names.
///
/// # Panics
///
/// If the list cannot be written: a part that is missing there would pass for one that ran.
pub fn skipped(what: &str) {
    note(what, std::env::var_os(SKIPPED_LIST).as_deref());
}

fn note(what: &str, list: Option<&OsStr>) {
    eprintln!("SKIPPED: {what}");
    let Some(list) = list else {
        return;
    };
    // One write per line, so that tests that run at a time do not mix theirs.
    let line = format!("{}\n", what.replace('\n', " "));
    let written = OpenOptions::new()
        .append(true)
        .create(true)
        .open(list)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("the list of skipped parts {}: {error}", list.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_skipped_part_is_one_line_of_the_list() {
        let list = std::env::temp_dir().join(format!("flk-skipped-{}", std::process::id()));
        note("no corpus", Some(list.as_os_str()));
        note("two\nlines", Some(list.as_os_str()));
        note("said only", None);
        let text = std::fs::read_to_string(&list).unwrap();
        std::fs::remove_file(&list).unwrap();
        assert_eq!(text, "no corpus\ntwo lines\n");
    }

    #[test]
    #[should_panic(expected = "the list of skipped parts")]
    fn a_list_that_cannot_be_written_fails_the_test() {
        note("lost", Some(OsStr::new("/nowhere/at/all")));
    }
}
