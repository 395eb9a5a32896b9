//! What was asked for on the command line, and where the binaries to be measured are.
//! It only reads arguments; it never starts or measures anything.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "usage: flk-bench-quick [--only floor|gateway|noisy|rotation|sealing] [--record] [--machine NAME] \
    [--work-dir DIRECTORY] [--seconds N] [--rounds N] [--requests N]\n  \
    --only      measure one of the two servers, two tenants, a rotation of keys, or what sealing costs\n  \
    --record    also write profiles/records/<machine>/<date>-<commit>-<what>/result.md\n  \
    --machine   the name of the directory of this machine there (default: made of CPU and count)\n  \
    --work-dir  where the log and the flush test lie (default: target/bench-quick)\n  \
    --seconds   per level of the gateway (15); the floor takes a third of it\n  \
    --rounds    of two tenants (201), of three times a quarter of a second; of sealing (3), of twice --seconds\n  \
    --requests  of a rotation (1000000)";

/// One of the two servers, or something else to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    Floor,
    Gateway,
    Noisy,
    Rotation,
    Sealing,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) only: Option<Only>,
    pub(crate) record: bool,
    pub(crate) machine: Option<String>,
    pub(crate) work_dir: PathBuf,
    pub(crate) gateway_s: u64,
    pub(crate) floor_s: u64,
    pub(crate) rounds: usize,
    pub(crate) sealing_rounds: usize,
    pub(crate) requests: usize,
}

impl Options {
    pub(crate) fn from_arguments(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            only: None,
            record: false,
            machine: None,
            work_dir: PathBuf::from("target/bench-quick"),
            gateway_s: 15,
            floor_s: 5,
            rounds: 201,
            sealing_rounds: 3,
            requests: 1_000_000,
        };
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| format!("{word} needs a value\n{USAGE}"))
            };
            match word.as_str() {
                "--record" => options.record = true,
                "--machine" => options.machine = Some(value()?),
                "--work-dir" => options.work_dir = PathBuf::from(value()?),
                "--only" => options.only = Some(only(&value()?)?),
                "--seconds" => {
                    options.gateway_s = seconds(&value()?)?;
                    options.floor_s = options.gateway_s.div_ceil(3);
                }
                "--rounds" => {
                    options.rounds = count("--rounds", 1..=999, &value()?)?;
                    options.sealing_rounds = options.rounds;
                }
                "--requests" => {
                    let allowed = 1_000..=1_000_000_000;
                    options.requests = count("--requests", allowed, &value()?)?;
                }
                _ => return Err(format!("`{word}` is not known\n{USAGE}")),
            }
        }
        Ok(options)
    }

    /// A release binary that lies beside this one.
    pub(crate) fn binary(&self, name: &str) -> io::Result<PathBuf> {
        let path = std::env::current_exe()?.with_file_name(name);
        if path.is_file() {
            return Ok(path);
        }
        Err(io::Error::other(format!(
            "{} does not exist: run `make build bench-build`, or measure the other one with --only",
            path.display()
        )))
    }
}

fn only(text: &str) -> Result<Only, String> {
    match text {
        "floor" => Ok(Only::Floor),
        "gateway" => Ok(Only::Gateway),
        "noisy" => Ok(Only::Noisy),
        "rotation" => Ok(Only::Rotation),
        "sealing" => Ok(Only::Sealing),
        _ => Err(format!(
            "--only takes floor, gateway, noisy, rotation or sealing, not `{text}`"
        )),
    }
}

fn count(name: &str, allowed: RangeInclusive<usize>, text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| allowed.contains(count));
    let (least, most) = (allowed.start(), allowed.end());
    count.ok_or_else(|| format!("{name} takes {least} to {most}, not `{text}`"))
}

fn seconds(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (1..=600).contains(seconds))
        .ok_or_else(|| format!("--seconds takes 1 to 600, not `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::from_arguments(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_asked_means_both_servers_and_no_record() {
        let options = parse("").unwrap();
        assert_eq!(
            (
                options.only,
                options.record,
                options.gateway_s,
                options.floor_s
            ),
            (None, false, 15, 5)
        );
    }

    #[test]
    fn a_wrong_word_says_what_is_allowed() {
        for text in [
            "--only",
            "--only both",
            "--seconds 0",
            "--rounds 0",
            "--fast",
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains("--"), "{text}: {message}");
        }
    }
}
