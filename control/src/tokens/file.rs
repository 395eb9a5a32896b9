//! The file of tokens while control runs. It is looked at for each request, so that a line that is taken out counts at once, and
//! every few seconds, so that a wrong line is said although nothing asks. It is read, and decrypted, only if it is another one
//! than at the last time. It never waits for a pipe or a disk for long.

use super::{Read, Tokens};
use crate::events::{TokensRight, TokensWrong};
use crate::link::of_system;
use crate::say::say;
use crate::view::Board;
use flk_dataplane::config::sealed::{self, AgeKeys};
use flk_dataplane::config::{SecretPath, open_file, read_open};
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A longer file is none of ours.
const BYTES_MAX: usize = 1 << 20;
/// A disk that takes longer answers no request.
const READ_MAX: Duration = Duration::from_secs(5);
/// How often it is read although nothing asks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A file that was changed a shorter time ago may be changed again within one tick of the clock of its file system.
const SETTLED: Duration = Duration::from_secs(2);

/// A file of tokens, and where its mistakes are shown.
#[derive(Clone, Debug)]
pub struct TokensFile {
    path: SecretPath,
    keys: AgeKeys,
    board: Board,
    /// One reading at a time: a disk that hangs holds one thread and not all.
    last: Arc<Mutex<Last>>,
}

/// The last reading of the file, where it may stand for the next one.
#[derive(Debug, Default)]
struct Last(Option<(State, Arc<Read>)>);

/// What tells one state of a file from another: each write, replacement and change of rights changes one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    device: u64,
    number: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    fn of(found: &Metadata) -> State {
        State {
            device: found.dev(),
            number: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether any later change shows in it.
    fn is_settled(&self, now: SystemTime) -> bool {
        // (Some file systems say of every change that it was in 1970.)
        let changed = u64::try_from(self.changed.0).map(Duration::from_secs);
        let age = changed
            .ok()
            .filter(|it| !it.is_zero())
            .and_then(|it| now.duration_since(UNIX_EPOCH + it).ok());
        age.is_some_and(|age| age > SETTLED)
    }
}

impl TokensFile {
    /// At this path.
    pub fn at(path: SecretPath, keys: AgeKeys, board: Board) -> TokensFile {
        TokensFile {
            path,
            keys,
            board,
            last: Arc::default(),
        }
    }

    /// Reads it once, before anything else runs.
    ///
    /// # Errors
    /// It cannot be read, or a line is wrong: each in words.
    pub fn check(path: &SecretPath, keys: &AgeKeys) -> Result<(), Vec<String>> {
        let read = Last::default().read(path, keys, SystemTime::now());
        let problems = &read.map_err(|problem| vec![problem])?.problems;
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems.clone()),
        }
    }

    /// The tokens that count now. What is wrong with the file is said when it becomes so, and when it is right again.
    ///
    /// # Errors
    /// It has none, or cannot be read, in words.
    pub async fn tokens(&self) -> Result<Arc<Read>, String> {
        let (path, keys) = (self.path.clone(), self.keys.clone());
        let reading = async {
            let mut last = Arc::clone(&self.last).lock_owned().await;
            spawn_blocking(move || last.read(&path, &keys, SystemTime::now())).await
        };
        let loaded = match timeout(READ_MAX, reading).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(_)) => Err("it could not be read: this is a bug of flk-control".to_owned()),
            Err(_) => Err(format!(
                "{}: it cannot be read within {} s",
                self.path,
                READ_MAX.as_secs()
            )),
        };
        match loaded {
            Err(problem) => {
                self.note(std::slice::from_ref(&problem));
                Err(problem)
            }
            Ok(read) => {
                self.note(&read.problems);
                match read.tokens.0.is_empty() {
                    true => Err(read.problems.join("; ")),
                    false => Ok(read),
                }
            }
        }
    }

    /// Looks at it for ever.
    pub async fn watch(self) {
        loop {
            // Noted where it was read.
            let _ = self.tokens().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn note(&self, problems: &[String]) {
        let changed = self.board.send_if_modified(|view| {
            let is_new = view.tokens_wrong != problems;
            if is_new {
                view.tokens_wrong = problems.to_owned();
            }
            is_new
        });
        if !changed {
            return;
        }
        for problem in problems {
            let message = format!("ADMIN_TOKENS_FILE: {problem}; no token of it is let in");
            say(TokensWrong {}, message);
        }
        if problems.is_empty() {
            let file = self.path.to_string();
            let message = format!("ADMIN_TOKENS_FILE: {file} is right again");
            say(TokensRight { file }, message);
        }
    }
}

impl Last {
    /// What the file holds now; it may be encrypted.
    fn read(
        &mut self,
        source: &SecretPath,
        keys: &AgeKeys,
        now: SystemTime,
    ) -> Result<Arc<Read>, String> {
        let named = |problem: String| format!("{source}: {problem}");
        let of_io = |error: std::io::Error| named(of_system(&error));
        let file = open_file(&source.path).map_err(of_io)?;
        let found = file.metadata().map_err(of_io)?;
        must_be_regular(&found).map_err(named)?;
        let state = State::of(&found);
        if let Some((of, read)) = &self.0
            && *of == state
        {
            return Ok(Arc::clone(read));
        }
        self.0 = None;
        let text = read_open(file, BYTES_MAX).map_err(|error| named(error.to_string()))?;
        let opened = sealed::open(text, source.entry.as_deref(), keys);
        let opened = opened.map_err(|error| named(error.to_string()))?;
        let text = std::str::from_utf8(&opened).map_err(|_| named("it is not UTF-8".to_owned()))?;
        let mut read = Tokens::read(text);
        for problem in &mut read.problems {
            *problem = format!("{source}:{problem}");
        }
        let read = Arc::new(read);
        if state.is_settled(now) {
            self.0 = Some((state, Arc::clone(&read)));
        }
        Ok(read)
    }
}

fn must_be_regular(found: &Metadata) -> Result<(), String> {
    let kind = found.file_type();
    let what = match (kind.is_file(), kind.is_dir(), kind.is_fifo()) {
        (true, ..) => return Ok(()),
        (_, true, _) => "a directory",
        (_, _, true) => "a named pipe",
        _ => "a device or socket",
    };
    Err(format!(
        "it is {what}; it must be a regular file, for it is read again and again"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn what_is_no_regular_file_or_too_long_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let long = directory.path().join("long");
        std::fs::write(&long, "#".repeat(BYTES_MAX + 1)).unwrap();
        let absent = directory.path().join("absent");
        for (path, expected) in [
            (
                pipe.as_path(),
                "it is a named pipe; it must be a regular file",
            ),
            (directory.path(), "it is a directory"),
            (Path::new("/dev/zero"), "it is a device"),
            (&long, "it is longer than 1048576 bytes"),
            (&absent, "no such file"),
        ] {
            let source = SecretPath::new(path, None);
            let told = TokensFile::check(&source, &AgeKeys::default());
            let told = told.unwrap_err().concat();
            let begin = format!("{}: {expected}", path.display());
            assert!(told.starts_with(&begin), "{told}");
        }
    }

    /// Whether the next look at the file would read it again.
    fn is_kept(last: &mut Last, source: &SecretPath, now: SystemTime) -> bool {
        let mut read = || last.read(source, &AgeKeys::default(), now).unwrap();
        Arc::ptr_eq(&read(), &read())
    }

    #[test]
    fn a_file_is_read_again_when_it_changes_and_while_a_change_may_not_show() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        let (token, line) = super::super::make("anna", super::super::Role::Observer).unwrap();
        std::fs::write(&path, &line).unwrap();
        let source = SecretPath::new(&path, None);
        let mut last = Last::default();
        let now = SystemTime::now();
        assert!(!is_kept(&mut last, &source, now), "it was just written");
        assert!(
            !is_kept(&mut last, &source, now - 2 * SETTLED),
            "a clock went back"
        );
        let later = now + 2 * SETTLED;
        assert!(is_kept(&mut last, &source, later));
        let changes: [&dyn Fn(); 3] = [
            // Of the same length and with the same times: only its change shows.
            &|| {
                let times = std::fs::metadata(&path).unwrap().modified().unwrap();
                std::fs::write(&path, line.replace("anna", "bert")).unwrap();
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(times).unwrap();
            },
            &|| {
                let aside = directory.path().join("aside");
                std::fs::write(&aside, line.replace("anna", "cleo")).unwrap();
                std::fs::rename(aside, &path).unwrap();
            },
            &|| std::fs::write(&path, format!("{line}\n")).unwrap(),
        ];
        let mut names = Vec::new();
        for change in changes {
            assert!(is_kept(&mut last, &source, later));
            // Until the clock of the file system has gone on.
            let state = || State::of(&std::fs::metadata(&path).unwrap());
            let before = state();
            while state() == before {
                change();
            }
            let read = last.read(&source, &AgeKeys::default(), later).unwrap();
            names.push(read.tokens.actor(&token).unwrap().name.clone());
        }
        assert_eq!(names, ["bert", "cleo", "anna"]);
    }
}
