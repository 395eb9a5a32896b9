//! The files of a run: checked before it, so that no run is lost to a wrong name, and written after it. A file that was there is
//! replaced as a whole.

use super::ResultArgs;
use super::page;
use super::saved::Saved;
use crate::exit::{Exit, Failure};
use crate::fault;
use flk_bench_load::hdr;
use flk_bench_load::run::{Log, Outcome};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tempfile::NamedTempFile;

/// Files to be written, each in its directory already.
pub(super) struct Files {
    save: Option<Place>,
    hdr_out: Option<Place>,
    html: Option<Place>,
    log: Log,
}

struct Place {
    path: PathBuf,
    file: NamedTempFile,
}

impl Place {
    fn take(path: Option<&PathBuf>) -> Result<Option<Place>, Failure> {
        let Some(path) = path else {
            return Ok(None);
        };
        check_name(path)?;
        let directory = match path.parent() {
            Some(directory) if directory != Path::new("") => directory,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory)
            .map_err(|error| refused(path, &fault::why(&error)))?;
        Ok(Some(Place {
            path: path.clone(),
            file,
        }))
    }

    fn write(mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| refused(&self.path, &fault::why(&error)))?;
        let kept = self.file.persist(&self.path);
        kept.map_err(|error| refused(&self.path, &fault::why(&error.error)))?;
        Ok(())
    }
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
            save: Place::take(args.save.as_ref())?,
            hdr_out: Place::take(args.hdr_out.as_ref())?,
            html: Place::take(args.html.as_ref())?,
            log,
        })
    }

    /// Writes all of them.
    pub(super) fn write(
        self,
        run: &Saved,
        outcome: &Outcome,
        then: Option<&Saved>,
    ) -> Result<(), Failure> {
        if let Some(place) = self.save {
            place.write(&document(run)?)?;
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
            place.write(&text)?;
        }
        if let Some(place) = self.html {
            place.write(&page::page(run, then))?;
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
            let place = Place::take(Some(&dir.path().join(name)));
            assert!(place.is_err(), "{name}");
        }
        for path in ["", "/dev/null", "new/"] {
            assert!(Place::take(Some(&PathBuf::from(path))).is_err(), "{path}");
        }
        for name in ["file", "new"] {
            let place = Place::take(Some(&dir.path().join(name)));
            assert!(place.is_ok(), "{name}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
