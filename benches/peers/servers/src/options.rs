//! What was asked for on the command line. It only reads.

use std::net::SocketAddr;

use crate::store::Kind;

pub(crate) const USAGE: &str = "usage: flk-peer --store KIND [--at WHERE] [--listen 127.0.0.1:0]\n  \
    KIND   memory, file, file-nosync, file-group, postgres, postgres-group, postgres-async, redis or nats\n  \
    WHERE  a directory; host=/socket/directory user=NAME dbname=NAME; redis+unix:///socket; nats://127.0.0.1:4222\n  \
    PCS_HMAC_KEY holds the key that records are signed with";

#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) store: Kind,
    pub(crate) at: String,
    pub(crate) listen: SocketAddr,
}

impl Options {
    pub(crate) fn from_arguments(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut store, mut at, mut listen) =
            (None, String::new(), SocketAddr::from(([127, 0, 0, 1], 0)));
        while let Some(word) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
            match word.as_str() {
                "--store" => {
                    let kind = Kind::named(&value);
                    store = Some(
                        kind.ok_or_else(|| format!("--store does not know `{value}`\n{USAGE}"))?,
                    );
                }
                "--at" => at = value,
                "--listen" => {
                    let address = value.parse();
                    listen = address.map_err(|_| {
                        format!("--listen takes an address and a port, not `{value}`")
                    })?;
                }
                _ => return Err(format!("`{word}` is not known\n{USAGE}")),
            }
        }
        let store = store.ok_or_else(|| format!("--store is needed\n{USAGE}"))?;
        if at.is_empty() && store != Kind::Memory {
            return Err(format!("--at is needed with this store\n{USAGE}"));
        }
        Ok(Self { store, at, listen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::from_arguments(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_kind_of_store_can_be_asked_for_by_its_name() {
        for kind in Kind::ALL {
            let options = parse(&format!("--store {} --at x", kind.name())).unwrap();
            assert_eq!(
                (options.store, options.at.as_str(), options.listen.port()),
                (kind, "x", 0)
            );
        }
    }

    #[test]
    fn a_wrong_word_says_what_is_allowed() {
        for text in [
            "",
            "--store",
            "--store disk --at x",
            "--store file",
            "--fast 1",
            "--store memory --listen here",
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains("--"), "{text}: {message}");
        }
    }
}
