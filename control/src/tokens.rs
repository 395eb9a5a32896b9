//! Who may use the admin API: tokens by their SHA-256, each with a name and a role. The file never holds a token, and a token
//! is shown once, when it is made.

use crate::link::of_system;
use flk_dataplane::config::SecretPath;
use flk_dataplane::config::sealed::{self, AgeKeys};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// How tokens begin, so that scanners for secrets know them.
const PREFIX: &str = "flkadm_";
/// A longer file is none of ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

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

impl Tokens {
    /// Reads a file, which may be encrypted.
    ///
    /// # Errors
    /// It cannot be read or opened, or a line is wrong, in words.
    pub fn load(file: &SecretPath, keys: &AgeKeys) -> Result<Tokens, String> {
        let read = || {
            use std::io::Read;
            let mut bytes = Zeroizing::new(Vec::new());
            let opened = std::fs::File::open(&file.path)?;
            opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes =
            read().map_err(|error: std::io::Error| format!("{file}: {}", of_system(&error)))?;
        let opened = sealed::open(bytes, file.entry.as_deref(), keys);
        let opened = opened.map_err(|error| format!("{file}: {error}"))?;
        let text = std::str::from_utf8(&opened).map_err(|_| format!("{file}: it is not UTF-8"))?;
        Tokens::read(text).map_err(|problem| format!("{file}:{problem}"))
    }

    /// Reads lines `actor:role:sha256-hex-of-token`; empty lines and those with `#` at their beginning are left out.
    fn read(text: &str) -> Result<Tokens, String> {
        let mut tokens: Vec<([u8; 32], Actor)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (digest, actor) = entry(line).map_err(|problem| format!("{number}: {problem}"))?;
            if tokens.iter().any(|(other, _)| *other == digest) {
                return Err(format!("{number}: another line has the same token"));
            }
            tokens.push((digest, actor));
        }
        match tokens.is_empty() {
            true => Err("1: it has no token; flk control token makes one".to_owned()),
            false => Ok(Tokens(tokens)),
        }
    }

    /// Whose token this is. Only hashes are compared, so the time that it takes tells nothing of a token.
    pub fn actor(&self, token: &str) -> Option<&Actor> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let found = self.0.iter().find(|(known, _)| *known == digest);
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
    let mut bytes = [0; TOKEN_BYTES];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        let got = rustix::rand::getrandom(&mut bytes[filled..], flags);
        filled += got.map_err(|error| format!("no random bytes: {error}"))?;
    }
    let token = format!("{PREFIX}{}", hex(&bytes));
    let digest = hex(&Sha256::digest(token.as_bytes()));
    let line = format!("{name}:{}:{digest}", role.as_str());
    Ok((token, line))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_was_made_lets_its_actor_in_and_no_other_does() {
        let (token, line) = make("anna", Role::Operator).unwrap();
        assert!(!line.contains(&token));
        let tokens = Tokens::read(&format!("# people\n\n{line}\n")).unwrap();
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
    fn a_wrong_line_is_named_with_its_number() {
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
                "2: another line has the same token",
            ),
        ] {
            let told = Tokens::read(text).unwrap_err();
            assert!(told.starts_with(expected), "{expected}: {told}");
        }
    }

    #[test]
    fn a_role_may_do_what_those_before_it_may() {
        assert!(Role::Observer < Role::Operator && Role::Operator < Role::Administrator);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
    }
}
