//! The file of tokens while control runs. It is read for each request, so that a line that is taken out counts at once, and
//! every few seconds, so that a wrong line is said although nothing asks. It never waits for a pipe or a disk for long.

use super::{Read, Tokens};
use crate::events::{TokensRight, TokensWrong};
use crate::link::of_system;
use crate::say::say;
use crate::view::Board;
use flk_dataplane::config::sealed::{self, AgeKeys};
use flk_dataplane::config::{SecretPath, open_file, read_open};
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A longer file is none of ours.
const BYTES_MAX: usize = 1 << 20;
/// A disk that takes longer answers no request.
const READ_MAX: Duration = Duration::from_secs(5);
/// How often it is read although nothing asks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A file of tokens, and where its mistakes are shown.
#[derive(Clone, Debug)]
pub struct TokensFile {
    path: SecretPath,
    keys: AgeKeys,
    board: Board,
    /// One reading at a time: a disk that hangs holds one thread and not all.
    turn: Arc<Mutex<()>>,
}

impl TokensFile {
    /// At this path.
    pub fn at(path: SecretPath, keys: AgeKeys, board: Board) -> TokensFile {
        TokensFile {
            path,
            keys,
            board,
            turn: Arc::default(),
        }
    }

    /// Reads it once, before anything else runs.
    ///
    /// # Errors
    /// It cannot be read, or a line is wrong: each in words.
    pub fn check(path: &SecretPath, keys: &AgeKeys) -> Result<(), Vec<String>> {
        let Read { problems, .. } = load(path, keys).map_err(|problem| vec![problem])?;
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems),
        }
    }

    /// The tokens that count now. What is wrong with the file is said when it becomes so, and when it is right again.
    ///
    /// # Errors
    /// It has none, or cannot be read, in words.
    pub async fn tokens(&self) -> Result<Tokens, String> {
        let (path, keys) = (self.path.clone(), self.keys.clone());
        let reading = async {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let load = move || {
                let loaded = load(&path, &keys);
                drop(turn);
                loaded
            };
            spawn_blocking(load).await
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
                self.note(vec![problem.clone()]);
                Err(problem)
            }
            Ok(Read { tokens, problems }) => {
                let none = match tokens.0.is_empty() {
                    true => Some(problems.join("; ")),
                    false => None,
                };
                self.note(problems);
                none.map_or(Ok(tokens), Err)
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

    fn note(&self, problems: Vec<String>) {
        let changed = self.board.send_if_modified(|view| {
            let is_new = view.tokens_wrong != problems;
            if is_new {
                view.tokens_wrong.clone_from(&problems);
            }
            is_new
        });
        if !changed {
            return;
        }
        for problem in &problems {
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

/// The file may be encrypted.
fn load(source: &SecretPath, keys: &AgeKeys) -> Result<Read, String> {
    let named = |problem: String| format!("{source}: {problem}");
    let of_io = |error: std::io::Error| named(of_system(&error));
    let file = open_file(&source.path).map_err(of_io)?;
    let kind = file.metadata().map_err(of_io)?.file_type();
    if !kind.is_file() {
        let what = match (kind.is_dir(), kind.is_fifo()) {
            (true, _) => "a directory",
            (_, true) => "a named pipe",
            _ => "a device or socket",
        };
        return Err(named(format!(
            "it is {what}; it must be a regular file, for it is read at each request"
        )));
    }
    let text = read_open(file, BYTES_MAX).map_err(|error| named(error.to_string()))?;
    let opened = sealed::open(text, source.entry.as_deref(), keys);
    let opened = opened.map_err(|error| named(error.to_string()))?;
    let text = std::str::from_utf8(&opened).map_err(|_| named("it is not UTF-8".to_owned()))?;
    let mut read = Tokens::read(text);
    for problem in &mut read.problems {
        *problem = format!("{source}:{problem}");
    }
    Ok(read)
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
}
