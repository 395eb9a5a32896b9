//! What was asked for on the command line, and where the binaries to be measured are.
//! It only reads arguments; it never starts or measures anything.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "usage: flk-bench-quick [--only floor|gateway|goals|noisy|peers|profile|rates|rotation|sealing|store] [--record] [--machine NAME] \
    [--work-dir DIRECTORY] [--seconds N] [--rounds N] [--requests N] [--keys N,N,…] [--peers systems|ablation] [--check]\n  \
    --only      measure one of the two servers, the goals, where the time of a request goes, two tenants, what people could run instead, moderate rates, a rotation of keys, what sealing costs, or the store\n  \
    --record    also write profiles/records/<machine>/<date>-<commit>-<what>/result.md\n  \
    --machine   the name of the directory of this machine there (default: made of CPU and count)\n  \
    --work-dir  where the log and the flush test lie (default: target/bench-quick)\n  \
    --seconds   per level of the gateway, and per rate (15); the floor, the goals and peers take a third of it\n  \
    --rounds    of two tenants (201), of three times a quarter of a second; of sealing (3), of twice --seconds; of the store, the goals and peers (3)\n  \
    --requests  of a rotation (1000000)\n  \
    --keys      numbers of sealed ids of the store, such as \"1e6 1e7 1e8\" (1e6); 76 bytes of disk for each, and 4 GB\n  \
    --peers     of peers: only other systems, or only the gateway's shard under other drivers (both)\n  \
    --check     of peers: whether those that promise it sync, and keep what they acknowledged when they are killed";

/// Fewer keys leave no sample in some slice; more are counted by other means.
const KEYS_ALLOWED: RangeInclusive<f64> = 1e4..=1e10;

/// One of the two servers, or something else to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    Floor,
    Gateway,
    Goals,
    Noisy,
    Peers,
    Profile,
    Rates,
    Rotation,
    Sealing,
    Store,
}

/// What the gateway is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// What people could run instead.
    Systems,
    /// Its own shard under other drivers.
    Ablation,
    Both,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) only: Option<Only>,
    pub(crate) record: bool,
    pub(crate) machine: Option<String>,
    pub(crate) work_dir: PathBuf,
    pub(crate) gateway_s: u64,
    pub(crate) third_s: u64,
    pub(crate) rounds: usize,
    pub(crate) sealing_rounds: usize,
    pub(crate) requests: usize,
    pub(crate) keys_counts: Vec<u64>,
    pub(crate) compared: Compared,
    pub(crate) check: bool,
}

impl Options {
    pub(crate) fn from_arguments(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            only: None,
            record: false,
            machine: None,
            work_dir: PathBuf::from("target/bench-quick"),
            gateway_s: 15,
            third_s: 5,
            rounds: 201,
            sealing_rounds: 3,
            requests: 1_000_000,
            keys_counts: vec![1_000_000],
            compared: Compared::Both,
            check: false,
        };
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| format!("{word} needs a value\n{USAGE}"))
            };
            match word.as_str() {
                "--check" => options.check = true,
                "--record" => options.record = true,
                "--machine" => options.machine = Some(value()?),
                "--work-dir" => options.work_dir = PathBuf::from(value()?),
                "--only" => options.only = Some(only(&value()?)?),
                "--seconds" => {
                    options.gateway_s = seconds(&value()?)?;
                    options.third_s = options.gateway_s.div_ceil(3);
                }
                "--rounds" => {
                    options.rounds = count("--rounds", 1..=999, &value()?)?;
                    options.sealing_rounds = options.rounds;
                }
                "--requests" => {
                    let allowed = 1_000..=1_000_000_000;
                    options.requests = count("--requests", allowed, &value()?)?;
                }
                "--peers" => options.compared = compared(&value()?)?,
                "--keys" => options.keys_counts = keys_counts(&value()?)?,
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
        "goals" => Ok(Only::Goals),
        "noisy" => Ok(Only::Noisy),
        "peers" => Ok(Only::Peers),
        "profile" => Ok(Only::Profile),
        "rates" => Ok(Only::Rates),
        "rotation" => Ok(Only::Rotation),
        "sealing" => Ok(Only::Sealing),
        "store" => Ok(Only::Store),
        _ => Err(format!(
            "--only takes floor, gateway, goals, noisy, peers, profile, rates, rotation, sealing or store, not `{text}`"
        )),
    }
}

fn compared(text: &str) -> Result<Compared, String> {
    match text {
        "systems" => Ok(Compared::Systems),
        "ablation" => Ok(Compared::Ablation),
        _ => Err(format!(
            "--peers takes systems or ablation, not `{text}`; without it both are measured"
        )),
    }
}

fn count(name: &str, allowed: RangeInclusive<usize>, text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| allowed.contains(count));
    let (least, most) = (allowed.start(), allowed.end());
    count.ok_or_else(|| format!("{name} takes {least} to {most}, not `{text}`"))
}

/// Numbers such as `1e6` or `1000000`, the smallest first, so that a formula has two ends.
fn keys_counts(text: &str) -> Result<Vec<u64>, String> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let number = |word: &str| {
        let count: f64 = word.parse().ok()?;
        (KEYS_ALLOWED.contains(&count) && count.fract() == 0.0).then_some(count as u64)
    };
    let mut counts: Vec<u64> = words
        .map(|word| {
            number(word)
                .ok_or_else(|| format!("--keys takes whole numbers from 1e4 to 1e10, not `{word}`"))
        })
        .collect::<Result<_, _>>()?;
    counts.sort_unstable();
    counts.dedup();
    match counts.is_empty() {
        true => Err("--keys takes at least one number".to_owned()),
        false => Ok(counts),
    }
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
                options.third_s
            ),
            (None, false, 15, 5)
        );
    }

    #[test]
    fn numbers_of_keys_are_taken_in_the_forms_that_people_write() {
        let options =
            Options::from_arguments(["--keys", "1e7 20000,1e6"].map(str::to_owned).into_iter());
        assert_eq!(
            options.unwrap().keys_counts,
            [20_000, 1_000_000, 10_000_000]
        );
    }

    #[test]
    fn peers_are_both_tables_unless_one_is_asked_for() {
        let compared = |text: &str| parse(text).unwrap().compared;
        assert_eq!(compared("--only peers"), Compared::Both);
        assert_eq!(
            compared("--only peers --peers ablation"),
            Compared::Ablation
        );
    }

    #[test]
    fn a_wrong_word_says_what_is_allowed() {
        for text in [
            "--only",
            "--only both",
            "--seconds 0",
            "--rounds 0",
            "--keys 1e3",
            "--keys ,",
            "--peers all",
            "--keys 20000.5",
            "--fast",
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains("--"), "{text}: {message}");
        }
    }
}
