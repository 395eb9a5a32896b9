//! A change of the holds: its line as words, and what it makes of a drafted manifest. It replaces none.

use super::HOLDS_COUNT_MAX;
use crate::keeper::holds::keep::done_with;
use crate::wal::manifest::{HOLD_TEXT_BYTES_MAX, Hold, LogUpto, Manifest};

/// How long a hold keeps anything without moving, if nothing else is said: a week, in seconds. One that was forgotten ends to
/// matter then.
const AGE_MAX_S: u32 = 7 * 86_400;

/// The forms of the commands.
const FORMS: &str = "hold list | hold set NAME [--owner TEXT] [--bytes-max BYTES] [--age-max SECONDS] [LOG:SEQUENCE…] | hold move NAME LOG:SEQUENCE… | hold drop NAME";

/// A change of the holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Makes a hold, or changes what is given of one.
    Set {
        name: String,
        owner: Option<String>,
        bytes_max: Option<u64>,
        age_max_s: Option<u32>,
        done: Vec<LogUpto>,
    },
    /// States how far a hold is done.
    Move { name: String, done: Vec<LogUpto> },
    /// Ends a hold.
    Drop { name: String },
}

impl Change {
    /// Reads what stands behind the verb. Nothing: the holds are asked for.
    pub(super) fn parse(words: &[&str]) -> Result<Option<Change>, String> {
        let usage = || format!("expected: {FORMS}");
        let (verb, words) = words.split_first().ok_or_else(usage)?;
        let name = |word: &&str| hold_name(word);
        match (*verb, words) {
            ("list", []) => Ok(None),
            ("drop", [word]) => Ok(Some(Change::Drop { name: name(word)? })),
            ("move", [word, positions @ ..]) if !positions.is_empty() => {
                let positions = positions.iter().map(|word| position(word));
                Ok(Some(Change::Move {
                    name: name(word)?,
                    done: positions.collect::<Result<_, _>>()?,
                }))
            }
            ("set", [word, settings @ ..]) => Ok(Some(set(name(word)?, settings)?)),
            _ => Err(usage()),
        }
    }

    /// Makes this change in a drafted manifest.
    pub(super) fn apply(&self, next: &mut Manifest, now_s: u32) -> Result<(), String> {
        match self {
            Change::Drop { name } => {
                find(next, name)?;
                let sections = &mut next.sections;
                sections.holds.retain(|hold| hold.name != *name);
                sections.released.retain(|range| range.hold != *name);
                Ok(())
            }
            Change::Move { name, done } => {
                let done = of_logs_there(next, done)?;
                let hold = find(next, name)?;
                hold.advance(&done, now_s)
            }
            Change::Set {
                name,
                owner,
                bytes_max,
                age_max_s,
                done,
            } => {
                let done = of_logs_there(next, done)?;
                let hold = find_or_make(next, name, now_s)?;
                hold.owner = owner.clone().unwrap_or_else(|| hold.owner.clone());
                hold.bytes_max = bytes_max.unwrap_or(hold.bytes_max);
                hold.age_max_s = age_max_s.unwrap_or(hold.age_max_s);
                match done.is_empty() {
                    true => Ok(()),
                    false => hold.advance(&done, now_s),
                }
            }
        }
    }
}

impl Hold {
    /// Notes how far it is done; all of it or nothing.
    fn advance(&mut self, done: &[LogUpto], now_s: u32) -> Result<(), String> {
        for &LogUpto { log, upto } in done {
            let before = done_with(self, log);
            if upto < before {
                let (name, at, to) = (&self.name, before.counter(), upto.counter());
                return Err(format!(
                    "hold {name} is done with {log} up to {log}:{at} and does not go back to {log}:{to}: what it was done with may be deleted"
                ));
            }
            match self.done.iter_mut().find(|it| it.log == log) {
                Some(position) => position.upto = upto,
                None => self.done.push(LogUpto { log, upto }),
            }
        }
        self.moved_at_s = now_s.max(self.made_at_s);
        Ok(())
    }
}

fn set(name: String, settings: &[&str]) -> Result<Change, String> {
    let (mut owner, mut bytes_max, mut age_max_s) = (None, None, None);
    let mut done = Vec::new();
    let mut rest = settings.iter().peekable();
    while let Some(word) = rest.next() {
        match *word {
            "--owner" => {
                let is_text = |word: &&&str| !word.starts_with("--") && position(word).is_err();
                let mut text = Vec::new();
                while let Some(word) = rest.next_if(|word| is_text(word)) {
                    text.push(*word);
                }
                owner = Some(checked_owner(text.join(" "))?);
            }
            "--bytes-max" => bytes_max = Some(number(word, rest.next())?),
            "--age-max" => age_max_s = Some(number(word, rest.next())?),
            word => done.push(position(word)?),
        }
    }
    Ok(Change::Set {
        name,
        owner,
        bytes_max,
        age_max_s,
        done,
    })
}

fn number<T: std::str::FromStr>(option: &str, word: Option<&&str>) -> Result<T, String> {
    let number = word.and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("{option} takes a whole number"))
}

/// Reads the name of a hold, as commands may give it.
pub fn hold_name(word: &str) -> Result<String, String> {
    let is_name = (1..=HOLD_TEXT_BYTES_MAX).contains(&word.len())
        && !word.starts_with('-')
        && word.bytes().all(|byte| byte.is_ascii_graphic());
    match is_name {
        true => Ok(word.to_string()),
        false => Err(format!(
            "the name of a hold has at most {HOLD_TEXT_BYTES_MAX} visible characters of ASCII and does not begin with -"
        )),
    }
}

fn checked_owner(text: String) -> Result<String, String> {
    let is_owner = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    match text.len() <= HOLD_TEXT_BYTES_MAX && text.bytes().all(is_owner) {
        true => Ok(text),
        false => Err(format!(
            "the owner of a hold is a text of at most {HOLD_TEXT_BYTES_MAX} characters of ASCII"
        )),
    }
}

fn position(word: &str) -> Result<LogUpto, String> {
    LogUpto::parse(word).ok_or_else(|| {
        format!(
            "{word} is no LOG:SEQUENCE: such as 3.0:17, log 3.0 up to the 17th batch, as hold list and flk wal inspect name them"
        )
    })
}

/// The positions in logs that are kept. A log of which nothing is left needs none; one that was never begun is a mistake.
fn of_logs_there(manifest: &Manifest, done: &[LogUpto]) -> Result<Vec<LogUpto>, String> {
    let never = |it: &&LogUpto| {
        it.log.start > manifest.start
            || it.log.start == manifest.start && manifest.log(it.log).is_none()
    };
    if let Some(LogUpto { log, .. }) = done.iter().find(never) {
        return Err(format!(
            "there is no log {log}: flk wal inspect lists the logs"
        ));
    }
    let there = |it: &&LogUpto| manifest.log(it.log).is_some();
    Ok(done.iter().filter(there).copied().collect())
}

fn find<'m>(manifest: &'m mut Manifest, name: &str) -> Result<&'m mut Hold, String> {
    let mut holds = manifest.sections.holds.iter_mut();
    let found = holds.find(|hold| hold.name == name);
    found.ok_or_else(|| format!("no hold {name}: hold list shows those that there are"))
}

/// A new hold is done with nothing: it keeps all that is there.
fn find_or_make<'m>(
    manifest: &'m mut Manifest,
    name: &str,
    now_s: u32,
) -> Result<&'m mut Hold, String> {
    let holds = &mut manifest.sections.holds;
    if holds.iter().all(|hold| hold.name != name) {
        if holds.len() >= HOLDS_COUNT_MAX {
            return Err(format!(
                "there are {HOLDS_COUNT_MAX} holds, and there may be no more: drop one of them"
            ));
        }
        holds.push(Hold {
            name: name.to_string(),
            owner: String::new(),
            bytes_max: u64::MAX,
            age_max_s: AGE_MAX_S,
            made_at_s: now_s,
            moved_at_s: now_s,
            done: Vec::new(),
        });
    }
    find(manifest, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::name::{LogId, Sequence};

    fn upto(start: u32, number: u16, counter: u64) -> LogUpto {
        let log = LogId { start, number };
        let upto = Sequence(Sequence::before_first(start).0 + counter);
        LogUpto { log, upto }
    }

    #[test]
    fn lines_are_read_with_their_settings_in_any_order() {
        let line =
            "set backup --owner the nightly backup 3.0:17 --bytes-max 7 3.1:3:4 --age-max 60";
        let words: Vec<&str> = line.split(' ').collect();
        let expected = Change::Set {
            name: "backup".into(),
            owner: Some("the nightly backup".into()),
            bytes_max: Some(7),
            age_max_s: Some(60),
            done: vec![upto(3, 0, 17), upto(3, 1, 4)],
        };
        assert_eq!(Change::parse(&words), Ok(Some(expected)));
        assert_eq!(Change::parse(&["list"]), Ok(None));
    }

    #[test]
    fn a_line_that_says_too_little_or_something_else_is_refused_with_what_is_expected() {
        for (line, says) in [
            ("", "expected"),
            ("list all", "expected"),
            ("drop", "expected"),
            ("move backup", "expected"),
            ("set", "expected"),
            ("set --owner", "name of a hold"),
            ("set näme", "name of a hold"),
            ("set b --owner ü", "owner"),
            ("set b --bytes-max", "--bytes-max takes"),
            ("set b --age-max -1", "--age-max takes"),
            ("set b 3:17", "3:17 is no LOG:SEQUENCE"),
            ("move b 3.0:4:17", "is no LOG:SEQUENCE"),
            ("move b 16777216.0:1", "is no LOG:SEQUENCE"),
            ("move b 3.0:1099511627776", "is no LOG:SEQUENCE"),
            ("move b 3.0:x", "is no LOG:SEQUENCE"),
        ] {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let why = Change::parse(&words).unwrap_err();
            assert!(why.contains(says), "{line}: {why}");
        }
        let long = "n".repeat(HOLD_TEXT_BYTES_MAX + 1);
        assert!(Change::parse(&["drop", &long]).is_err());
        assert!(Change::parse(&["drop", &long[1..]]).is_ok());
    }
}
