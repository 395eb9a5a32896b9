//! Users that have signed in to the console: a random secret in a cookie stands for a token for an hour. Only hashes are kept,
//! of the secret and of the token; a session counts as long as the file of tokens has the token's line. It reads no clock and no
//! file.

use crate::tokens::{digest, hex, random};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Name of the cookie.
pub const COOKIE: &str = "flk_session";
/// How long a session lasts.
pub const LASTS: Duration = Duration::from_secs(3600);
/// Sessions at a time; a new one takes the place of the oldest.
const SESSIONS_MAX: usize = 256;

#[derive(Debug)]
struct Session {
    secret: [u8; 32],
    token: [u8; 32],
    until: Instant,
}

/// All of them, the oldest first.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Vec<Session>>);

impl Sessions {
    fn lasting(&self, now: Instant) -> MutexGuard<'_, Vec<Session>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
            sessions.remove(0);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_stands_for_its_token_until_it_ends() {
        let (sessions, now) = (Sessions::default(), Instant::now());
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
        let (sessions, now) = (Sessions::default(), Instant::now());
        let [one, other] = [1, 2].map(|it| sessions.begin([it; 32], now).unwrap());
        sessions.end(&one, now);
        assert_eq!(sessions.token(&one, now), None);
        assert_eq!(sessions.token(&other, now), Some([2; 32]));
    }

    #[test]
    fn the_oldest_gives_way_where_there_are_too_many() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.begin([1; 32], now).unwrap();
        let second = sessions.begin([2; 32], now).unwrap();
        for _ in 0..SESSIONS_MAX - 1 {
            sessions.begin([3; 32], now).unwrap();
        }
        assert_eq!(sessions.token(&first, now), None);
        assert_eq!(sessions.token(&second, now), Some([2; 32]));
        assert_eq!(sessions.0.lock().unwrap().len(), SESSIONS_MAX);
    }

    #[test]
    fn what_is_kept_opens_nothing() {
        let sessions = Sessions::default();
        let cookie = sessions.begin([7; 32], Instant::now()).unwrap();
        let kept = format!("{sessions:?}");
        assert!(!kept.contains(&cookie) && !kept.is_empty());
    }
}
