//! The address of the gateway, as the user gave it. It checks the text and never resolves a name.

use crate::exit::Failure;
use hyper::Uri;

/// Where records go, at the end of the path.
const PATH: &str = "/v1/pcs/submit";
const BATCH_PATH: &str = "/v1/pcs/batch";
const PORT_DEFAULT: u16 = 80;

/// A checked address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The whole of it, as it is shown.
    pub(crate) url: String,
    /// Name or address of the host, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Host and port as the header `Host` has them.
    pub(crate) authority: String,
    pub(crate) path: Uri,
    /// Where batches go.
    pub(crate) batch_path: Uri,
}

impl Target {
    /// Reads `http://HOST[:PORT][/PREFIX]`, with or without the path of submissions or batches.
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        // A user or a query may be a credential.
        let shown = match url.contains(['@', '?']) {
            true => "(not shown)",
            false => url,
        };
        let wrong = |why: &str| {
            Failure::usage(format!(
                "--url is `{shown}`, but {why}; it must be like http://127.0.0.1:8080"
            ))
        };
        let Some(rest) = url.strip_prefix("http://") else {
            return Err(wrong("this program speaks plain HTTP only"));
        };
        let (authority, prefix) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(wrong("it names a user, and this program sends none"));
        }
        let (host, port) = host_and_port(authority).map_err(|why| wrong(&why))?;
        let prefix = prefix.trim_end_matches('/');
        let bare = [PATH, BATCH_PATH]
            .iter()
            .find_map(|it| prefix.strip_suffix(it));
        let prefix = bare.unwrap_or(prefix);
        let path = format!("{prefix}{PATH}");
        let batch_path = format!("{prefix}{BATCH_PATH}");
        let is_plain = !path.contains(['?', '#']);
        let (path, batch_path) = match (path.parse(), batch_path.parse()) {
            (Ok(path), Ok(batch_path)) if is_plain => (path, batch_path),
            _ => return Err(wrong("its path has characters that a path cannot have")),
        };
        Ok(Self {
            url: format!("http://{authority}{path}"),
            host,
            port,
            authority: authority.to_owned(),
            path,
            batch_path,
        })
    }

    /// Where batches go, as it is shown.
    pub(crate) fn batch_url(&self) -> String {
        format!("http://{}{}", self.authority, self.batch_path)
    }

    /// What is beside the path of submissions, such as `/metrics`.
    pub(crate) fn beside(&self, path: &str) -> Result<Uri, Failure> {
        let prefix = self.path.path();
        let prefix = prefix.strip_suffix(PATH).unwrap_or(prefix);
        let beside = format!("{prefix}{path}").parse();
        beside.map_err(|_| Failure::usage(format!("--url has no {path} beside it")))
    }
}

fn host_and_port(authority: &str) -> Result<(String, u16), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or("its bracket is not closed")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("what is in brackets is no IPv6 address".to_owned());
            }
            match behind.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if behind.is_empty() => (host, None),
                None => return Err("something stands behind the bracket".to_owned()),
            }
        }
        None if authority.matches(':').count() > 1 => {
            return Err("an IPv6 address stands in brackets".to_owned());
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_named) {
        return Err("it names no host".to_owned());
    }
    let port = match port {
        None => PORT_DEFAULT,
        Some(text) => match text.parse() {
            Ok(port) if port > 0 && text.bytes().all(|it| it.is_ascii_digit()) => port,
            _ => return Err("its port is not from 1 to 65535".to_owned()),
        },
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_end_anywhere() {
        for url in [
            "http://127.0.0.1:80",
            "http://127.0.0.1:80/",
            "http://127.0.0.1:80/v1/pcs/submit",
            "http://127.0.0.1:80/v1/pcs/batch",
            "http://127.0.0.1:80/v1/pcs/batch/",
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.batch_url(), "http://127.0.0.1:80/v1/pcs/batch");
            assert_eq!(target.url, "http://127.0.0.1:80/v1/pcs/submit");
            assert_eq!((target.host.as_str(), target.port), ("127.0.0.1", 80));
        }
        let behind = Target::parse("http://h/proxied/").unwrap();
        assert_eq!(behind.path, "/proxied/v1/pcs/submit");
        assert_eq!(behind.beside("/metrics").unwrap(), "/proxied/metrics");
        assert_eq!((behind.authority.as_str(), behind.port), ("h", 80));
        let six = Target::parse("http://[::1]:8080").unwrap();
        assert_eq!((six.host.as_str(), six.port), ("::1", 8080));
        assert_eq!(six.authority, "[::1]:8080");
    }

    #[test]
    fn a_wrong_address_is_named_with_its_wrong_part() {
        for (url, part) in [
            ("", "plain HTTP"),
            ("127.0.0.1:80", "plain HTTP"),
            ("https://h", "plain HTTP"),
            ("http://", "no host"),
            ("http://:80", "no host"),
            ("http://user@h", "names a user"),
            ("http://user:pass@h:80", "names a user"),
            ("http://h:80?token", "its port"),
            ("http://h:99999", "its port"),
            ("http://h:0", "its port"),
            ("http://h:", "its port"),
            ("http://h:+80", "its port"),
            ("http://h:80x/", "its port"),
            ("http://::1:80", "in brackets"),
            ("http://[::1", "bracket"),
            ("http://[h]:80", "IPv6"),
            ("http://[::1]80", "bracket"),
            ("http://h/a b", "path"),
            ("http://h/?q=1", "path"),
        ] {
            let refused = format!("{:?}", Target::parse(url).unwrap_err());
            assert!(refused.contains(part), "{url}: {refused}");
            let is_shown = !url.contains(['@', '?']);
            assert_eq!(refused.contains(url), is_shown, "{url}: {refused}");
            for secret in ["user:", "pass", "token"] {
                assert!(!refused.contains(secret), "{url}: {refused}");
            }
        }
    }
}
