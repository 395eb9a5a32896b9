//! Users that have signed in to the console: a random secret in a cookie stands for a token for an hour. Only hashes are kept,
//! of the secret and of the token; a session counts as long as the file of tokens has the token's line. It reads no clock and no
//! file.

use crate::tokens::{digest, hex, random};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Beginning of the name of the cookie.
pub const COOKIE: &str = "flk_session_";
/// Where browsers are to know that TLS alone, and this host alone, set the cookie.
const OF_THIS_HOST: &str = "__Host-";
/// How long a session lasts.
pub const LASTS: Duration = Duration::from_secs(3600);
/// Sessions at a time; a new one takes the place of the oldest of its token, or of the token that has most.
const SESSIONS_MAX: usize = 256;

#[derive(Debug)]
struct Session {
    secret: [u8; 32],
    token: [u8; 32],
    until: Instant,
}

/// All of them.
#[derive(Debug)]
pub struct Sessions {
    /// Name of the cookie.
    cookie: String,
    /// The oldest first.
    all: Mutex<Vec<Session>>,
}

impl Sessions {
    /// None yet. Cookies do not tell ports apart, so each process has another name for its own: two gateways of one host do not
    /// sign each other's users out.
    pub fn of_process(number: u32, is_tls: bool) -> Sessions {
        let host = if is_tls { OF_THIS_HOST } else { "" };
        Sessions {
            cookie: format!("{host}{COOKIE}{number:08x}"),
            all: Mutex::default(),
        }
    }

    /// Name of the cookie.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    fn lasting(&self, now: Instant) -> MutexGuard<'_, Vec<Session>> {
        let mut sessions = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|it| now < it.until);
        sessions
    }

    /// A session of the token with this hash begins; the text of its cookie.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn begin(&self, token: [u8; 32], now: Instant) -> Result<String, String> {
        let secret = hex(&random()?);
        let mut sessions = self.lasting(now);
        if sessions.len() >= SESSIONS_MAX {
            let at = gives_way(&sessions, token);
            sessions.remove(at);
        }
        sessions.push(Session {
            secret: digest(&secret),
            token,
            until: now + LASTS,
        });
        Ok(secret)
    }

    /// The hash of the token that a cookie stands for.
    pub fn token(&self, cookie: &str, now: Instant) -> Option<[u8; 32]> {
        let secret = digest(cookie);
        let sessions = self.lasting(now);
        let found = sessions.iter().find(|it| it.secret == secret);
        found.map(|it| it.token)
    }

    /// A session ends.
    pub fn end(&self, cookie: &str, now: Instant) {
        let secret = digest(cookie);
        self.lasting(now).retain(|it| it.secret != secret);
    }
}

/// Which session gives way to a new one of this token. A token that is used too often ends no session of another one.
fn gives_way(sessions: &[Session], token: [u8; 32]) -> usize {
    let first = |token| sessions.iter().position(|it| it.token == token);
    let count = |it: &Session| {
        sessions
            .iter()
            .filter(|other| other.token == it.token)
            .count()
    };
    first(token).unwrap_or_else(|| {
        // Of equals the oldest: the last maximum of the reversed order.
        let most = sessions.iter().rev().max_by_key(|&it| count(it));
        most.and_then(|it| first(it.token)).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Sessions {
        Sessions::of_process(7, false)
    }

    #[test]
    fn a_session_stands_for_its_token_until_it_ends() {
        let (sessions, now) = (none(), Instant::now());
        let cookie = sessions.begin([7; 32], now).unwrap();
        assert_eq!(cookie.len(), 64);
        assert_eq!(sessions.token(&cookie, now), Some([7; 32]));
        let almost = now + LASTS - Duration::from_millis(1);
        assert_eq!(sessions.token(&cookie, almost), Some([7; 32]));
        assert_eq!(sessions.token(&cookie, now + LASTS), None);
        assert_eq!(sessions.token(&cookie, now), None, "it is gone for good");
        for other in ["", &cookie[1..], &hex(&digest(&cookie))] {
            assert_eq!(sessions.token(other, now), None);
        }
    }

    #[test]
    fn one_that_was_ended_counts_no_more_and_the_others_do() {
        let (sessions, now) = (none(), Instant::now());
        let [one, other] = [1, 2].map(|it| sessions.begin([it; 32], now).unwrap());
        sessions.end(&one, now);
        assert_eq!(sessions.token(&one, now), None);
        assert_eq!(sessions.token(&other, now), Some([2; 32]));
    }

    #[test]
    fn the_oldest_of_its_token_gives_way_where_there_are_too_many() {
        let (sessions, now) = (none(), Instant::now());
        let begin = |token: usize| sessions.begin([token as u8; 32], now).unwrap();
        let [first, second] = [0, 1].map(begin);
        (2..SESSIONS_MAX).for_each(|token| drop(begin(token)));
        begin(1);
        assert_eq!(sessions.token(&second, now), None);
        assert_eq!(sessions.token(&first, now), Some([0; 32]));
        assert_eq!(sessions.all.lock().unwrap().len(), SESSIONS_MAX);
    }

    #[test]
    fn of_tokens_that_have_as_many_sessions_the_oldest_gives_way() {
        let (sessions, now) = (none(), Instant::now());
        let begin = |token: usize| sessions.begin([token as u8; 32], now).unwrap();
        let all: Vec<String> = (0..SESSIONS_MAX).map(begin).collect();
        let mut another = [0; 32];
        another[0] = 1;
        sessions.begin(another, now).unwrap();
        let lasts = |cookie: &String| sessions.token(cookie, now).is_some();
        let ended: Vec<usize> = (0..SESSIONS_MAX).filter(|&at| !lasts(&all[at])).collect();
        assert_eq!(ended, [0]);
    }

    #[test]
    fn a_token_that_signs_in_again_and_again_ends_no_session_of_another_one() {
        let (sessions, now) = (none(), Instant::now());
        let other = sessions.begin([1; 32], now).unwrap();
        let first = sessions.begin([3; 32], now).unwrap();
        for _ in 0..2 * SESSIONS_MAX {
            sessions.begin([3; 32], now).unwrap();
        }
        let third = sessions.begin([2; 32], now).unwrap();
        assert_eq!(sessions.token(&other, now), Some([1; 32]));
        assert_eq!(sessions.token(&third, now), Some([2; 32]));
        assert_eq!(sessions.token(&first, now), None);
        assert_eq!(sessions.all.lock().unwrap().len(), SESSIONS_MAX);
    }

    #[test]
    fn cookies_of_two_processes_of_a_host_have_two_names() {
        let names = [(1, false), (2, false), (0xfeed_beef, true)]
            .map(|(number, is_tls)| Sessions::of_process(number, is_tls).cookie().to_owned());
        let expected = [
            "flk_session_00000001",
            "flk_session_00000002",
            "__Host-flk_session_feedbeef",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn what_is_kept_opens_nothing() {
        let sessions = none();
        let cookie = sessions.begin([7; 32], Instant::now()).unwrap();
        let kept = format!("{sessions:?}");
        assert!(!kept.contains(&cookie) && !kept.is_empty());
    }
}
