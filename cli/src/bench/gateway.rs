//! Questions to the gateway before a run: whether it takes records, and which version it is. Each has a connection of its own.

use crate::exit::Failure;
use crate::fault;
use crate::output::printable;
use crate::submit::target::Target;
use flk_bench_load::answer::{self, Reading};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(5);

/// The first address of the host that the user named.
pub(super) fn address(target: &Target) -> Result<SocketAddr, Failure> {
    let host = &target.host;
    let unknown = || Failure::unavailable(format!("the name {host} is not known here"));
    let mut addresses = (host.as_str(), target.port)
        .to_socket_addrs()
        .map_err(|_| unknown())?;
    addresses.next().ok_or_else(unknown)
}

/// Refuses a run against what is not ready.
pub(super) fn check_ready(target: &Target, address: SocketAddr) -> Result<(), Failure> {
    let why = match get(target, address, "/readyz") {
        Ok((200, _)) => return Ok(()),
        Ok((status, body)) => {
            let body = printable(body.trim());
            format!("is not ready: /readyz answers {status} ({body})")
        }
        Err(why) => format!("does not answer: {why}"),
    };
    let url = &target.url;
    Err(Failure::unavailable(format!(
        "the gateway of {url} {why}; --even-if-unready sends all the same"
    )))
}

/// What it says of its version; null where it says nothing that is JSON.
pub(super) fn version(target: &Target, address: SocketAddr) -> serde_json::Value {
    let answered = get(target, address, "/version");
    let body = answered.ok().filter(|(status, _)| *status == 200);
    body.and_then(|(_, body)| serde_json::from_str(&body).ok())
        .unwrap_or_default()
}

fn get(target: &Target, address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let path = target.beside(path).map_err(|it| it.text().to_owned())?;
    let why = |error: std::io::Error| fault::why(&error);
    let mut stream = TcpStream::connect_timeout(&address, WITHIN).map_err(why)?;
    stream.set_read_timeout(Some(WITHIN)).map_err(why)?;
    stream.set_write_timeout(Some(WITHIN)).map_err(why)?;
    let authority = &target.authority;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(why)?;
    let (mut received, mut input) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut input).map_err(why)?;
        received.extend_from_slice(&input[..count]);
        match answer::read(&received) {
            Reading::Whole(answer) => {
                let text = String::from_utf8_lossy(&received[..answer.end]);
                let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                return Ok((answer.status, body.to_owned()));
            }
            Reading::Partial if count > 0 => {}
            Reading::Partial => return Err("the connection ended before the answer".to_owned()),
            Reading::Foreign => return Err("what answers there is not a gateway".to_owned()),
        }
    }
}
