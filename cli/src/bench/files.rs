//! The files of a run: checked before it, so that no run is lost to a wrong name, and written after it. A file that was there is
//! replaced as a whole.

use super::ResultArgs;
use super::page;
use super::saved::Saved;
use crate::exit::{Exit, Failure};
use crate::fault;
use crate::whole_file::WholeFile;
use flk_bench_load::hdr;
use flk_bench_load::run::{Log, RunResult};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Files to be written, each in its directory already.
pub(super) struct Files {
    save: Option<WholeFile>,
    hdr_out: Option<WholeFile>,
    html: Option<WholeFile>,
    log: Log,
}

fn take(path: Option<&PathBuf>) -> Result<Option<WholeFile>, Failure> {
    let Some(path) = path else {
        return Ok(None);
    };
    check_name(path)?;
    let file = WholeFile::beside(path);
    file.map(Some)
        .map_err(|error| refused(path, &fault::why(&error)))
}

fn write(file: WholeFile, text: &str) -> Result<(), Failure> {
    let path = file.path().to_owned();
    file.keep(text)
        .map_err(|error| refused(&path, &fault::why(&error)))
}

/// Refuses a name that no file can have, and what must not be replaced by one.
fn check_name(path: &Path) -> Result<(), Failure> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.ends_with(b"/") || path.is_dir() {
        return Err(refused(path, "it names a directory, not a file"));
    }
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(refused(path, "it is not a regular file")),
        Err(_) if bytes.is_empty() => Err(refused(path, "the name is empty")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refused(path, &fault::why(&error))),
    }
}

fn refused(path: &Path, why: &str) -> Failure {
    let path = path.display();
    Failure::with(Exit::File, format!("cannot write {path}: {why}"))
}

impl Files {
    /// Takes a place for each file that was asked for.
    pub(super) fn take(args: &ResultArgs, log: Log) -> Result<Files, Failure> {
        Ok(Files {
            save: take(args.save.as_ref())?,
            hdr_out: take(args.hdr_out.as_ref())?,
            html: take(args.html.as_ref())?,
            log,
        })
    }

    /// Writes all of them.
    pub(super) fn write(
        self,
        run: &Saved,
        outcome: &RunResult,
        then: Option<&Saved>,
    ) -> Result<(), Failure> {
        if let Some(place) = self.save {
            write(place, &document(run)?)?;
        }
        if let Some(place) = self.hdr_out {
            let text = match self.log {
                Log::Dropped => hdr::percentiles(&outcome.total.from_due),
                Log::Kept => {
                    let since = outcome.began.duration_since(UNIX_EPOCH);
                    let head = hdr::log_head(since.unwrap_or_default().as_secs_f64());
                    outcome
                        .log
                        .iter()
                        .fold(head, |text, line| text + line + "\n")
                }
            };
            write(place, &text)?;
        }
        if let Some(place) = self.html {
            write(place, &page::page(run, then))?;
        }
        Ok(())
    }
}

/// A run as JSON.
pub(super) fn document(run: &Saved) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(run);
    let text = text.map_err(|_| Failure::with(Exit::File, "the figures have no form as JSON"))?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_file_can_have_is_refused_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let long = "a".repeat(300);
        for name in ["new/", "", "file/", "file/x", &long] {
            let place = take(Some(&dir.path().join(name)));
            assert!(place.is_err(), "{name}");
        }
        for path in ["", "/dev/null", "new/"] {
            assert!(take(Some(&PathBuf::from(path))).is_err(), "{path}");
        }
        for name in ["file", "new"] {
            let place = take(Some(&dir.path().join(name)));
            assert!(place.is_ok(), "{name}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
