//! Who may use the admin API: tokens by their SHA-256, each with a name and a role. The file never holds a token, and a token
//! is shown once, when it is made.

mod file;

pub use file::TokensFile;

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Random bytes of a token, and of a session.
const SECRET_BYTES: usize = 32;
/// How tokens begin, so that scanners for secrets know them.
const PREFIX: &str = "flkadm_";
/// Wrong lines of one file that are reported.
const PROBLEMS_MAX: usize = 20;

/// What an actor may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    Observer,
    /// Reload and roll back.
    Operator,
    /// Everything.
    Administrator,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 3] = [Role::Observer, Role::Operator, Role::Administrator];

    /// Its name in files and lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Observer => "observer",
            Role::Operator => "operator",
            Role::Administrator => "administrator",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| "the role must be observer, operator or administrator".to_owned())
    }
}

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name of a token, or what caused it.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

impl Actor {
    /// A user of this machine, where there are no tokens.
    pub fn local() -> Actor {
        Actor::named("local", Role::Administrator)
    }

    /// What happened without a request: `file`, `signal` or `start`.
    pub fn cause(name: &str) -> Actor {
        Actor::named(name, Role::Operator)
    }

    fn named(name: &str, role: Role) -> Actor {
        Actor {
            name: name.to_owned(),
            role,
        }
    }
}

/// The tokens of a file.
#[derive(Clone)]
pub struct Tokens(Vec<([u8; 32], Actor)>);

impl fmt::Debug for Tokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list()
            .entries(self.0.iter().map(|(_, actor)| actor))
            .finish()
    }
}

/// What a text of tokens comes to.
#[derive(Clone, Debug)]
pub struct Read {
    /// Those of the lines that are right.
    pub tokens: Tokens,
    /// What is wrong, each with the number of its line. A wrong line lets nothing in and keeps nothing out.
    pub problems: Vec<String>,
}

impl Tokens {
    /// Reads lines `actor:role:sha256-hex-of-token`; empty lines and those with `#` at their beginning are left out.
    fn read(text: &str) -> Read {
        let mut lines: BTreeMap<[u8; 32], (usize, Actor)> = BTreeMap::new();
        let mut twice = Vec::new();
        let mut problems = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match entry(line) {
                Err(problem) => problems.push(format!("{number}: {problem}")),
                Ok((digest, actor)) => match lines.get(&digest) {
                    None => drop(lines.insert(digest, (number, actor))),
                    Some((first, _)) => {
                        problems.push(format!("{number}: line {first} has the same token"));
                        twice.push(digest);
                    }
                },
            }
        }
        // Which of two roles was meant is not known.
        lines.retain(|digest, _| !twice.contains(digest));
        if lines.is_empty() && problems.is_empty() {
            problems.push("1: it has no token; flk control token makes one".to_owned());
        }
        if problems.len() > PROBLEMS_MAX {
            let more = problems.len() - PROBLEMS_MAX;
            problems.truncate(PROBLEMS_MAX);
            problems.push(format!("and {more} more"));
        }
        let lines = lines.into_iter();
        let tokens = Tokens(lines.map(|(digest, (_, actor))| (digest, actor)).collect());
        Read { tokens, problems }
    }

    /// Whose token this is. Only hashes are compared, so the time that it takes tells nothing of a token.
    pub fn actor(&self, token: &str) -> Option<&Actor> {
        self.actor_of(&digest(token))
    }

    /// Whose token has this hash.
    pub fn actor_of(&self, digest: &[u8; 32]) -> Option<&Actor> {
        let found = self.0.iter().find(|(known, _)| known == digest);
        found.map(|(_, actor)| actor)
    }
}

fn entry(line: &str) -> Result<([u8; 32], Actor), String> {
    let parts: Vec<&str> = line.split(':').collect();
    let [name, role, digest] = parts[..] else {
        return Err("a line is actor:role:sha256-of-token".to_owned());
    };
    check_name(name)?;
    let digest = flk_dataplane::snapshot::Digest::from_hex(digest)
        .ok_or("the token's SHA-256 must be 64 hexadecimal digits")?;
    let role = role.parse()?;
    Ok((digest.0, Actor::named(name, role)))
}

fn check_name(name: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    match (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) {
        true => Ok(()),
        false => Err("an actor is 1 to 64 characters of A-Z a-z 0-9 . _ - @".to_owned()),
    }
}

/// A new token, and the line of the file that lets it in.
///
/// # Errors
/// The name is not allowed, or the system has no random bytes.
pub fn make(name: &str, role: Role) -> Result<(String, String), String> {
    check_name(name)?;
    let token = format!("{PREFIX}{}", hex(&random()?));
    let line = format!("{name}:{}:{}", role.as_str(), hex(&digest(&token)));
    Ok((token, line))
}

/// Random bytes of a secret.
pub(crate) fn random() -> Result<[u8; SECRET_BYTES], String> {
    let mut bytes = [0; SECRET_BYTES];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        let got = rustix::rand::getrandom(&mut bytes[filled..], flags);
        filled += got.map_err(|error| format!("no random bytes: {error}"))?;
    }
    Ok(bytes)
}

/// The hash that a secret is kept as.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_was_made_lets_its_actor_in_and_no_other_does() {
        let (token, line) = make("anna", Role::Operator).unwrap();
        assert!(!line.contains(&token));
        let Read { tokens, problems } = Tokens::read(&format!("# people\n\n{line}\n"));
        assert_eq!(problems, [""; 0]);
        let actor = tokens.actor(&token).unwrap();
        assert_eq!((actor.name.as_str(), actor.role), ("anna", Role::Operator));
        for other in [
            "",
            "anna",
            &line,
            &token[1..],
            &make("b", Role::Observer).unwrap().0,
        ] {
            assert_eq!(tokens.actor(other), None);
        }
        assert!(!format!("{tokens:?}").contains(line.rsplit(':').next().unwrap()));
    }

    #[test]
    fn a_wrong_line_is_named_with_its_number_and_lets_nothing_in() {
        let digest = "ab".repeat(32);
        for (text, expected) in [
            ("", "1: it has no token"),
            ("# none\n", "1: it has no token"),
            ("\nanna\n", "2: a line is actor:role:sha256-of-token"),
            (&format!("a b:observer:{digest}"), "1: an actor is 1 to 64"),
            (&format!("a:root:{digest}"), "1: the role must be observer"),
            ("a:observer:abc", "1: the token's SHA-256 must be 64"),
            (
                &format!("a:observer:{digest}\nb:observer:{digest}"),
                "2: line 1 has the same token",
            ),
        ] {
            let Read { tokens, problems } = Tokens::read(text);
            assert!(
                problems[0].starts_with(expected),
                "{expected}: {problems:?}"
            );
            assert_eq!((tokens.0.len(), problems.len()), (0, 1));
        }
    }

    #[test]
    fn the_right_lines_beside_wrong_ones_count_and_no_more_than_twenty_are_told() {
        let (token, line) = make("anna", Role::Operator).unwrap();
        let text = format!("{}{line}\n", "rubbish\n".repeat(25));
        let Read { tokens, problems } = Tokens::read(&text);
        assert_eq!(tokens.actor(&token).unwrap().name, "anna");
        assert_eq!((problems.len(), &*problems[20]), (21, "and 5 more"));
    }

    #[test]
    fn a_role_may_do_what_those_before_it_may() {
        assert!(Role::Observer < Role::Operator && Role::Operator < Role::Administrator);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
    }
}
