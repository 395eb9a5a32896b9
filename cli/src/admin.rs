//! Requests to the admin API of flk-control, one per command. It sends a token and never prints one.

use crate::args::{time, time_text};
use crate::exit::{Exit, Failure};
use crate::fault;
use crate::keyring::{age_keys, read_secret};
use crate::output::printable;
use clap::Args;
use flk_dataplane::config::shown_path;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

/// A document of all tenants that may be, and more.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Who asks.
#[derive(Args, Debug, Default)]
pub(crate) struct TokenArgs {
    /// File that holds a token, if the API asks for one; one trailing newline is dropped
    #[arg(long, value_name = "FILE", env = "FLK_ADMIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl TokenArgs {
    /// The token, if a file of one is named.
    pub(crate) fn read(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let text = read_secret(path, None, &age_keys());
        let text =
            text.map_err(|problem| Failure::usage(format!("{}: {problem}", shown_path(path))))?;
        match text.is_empty() {
            true => Err(Failure::usage(format!("{}: it is empty", shown_path(path)))),
            false => Ok(Some(text)),
        }
    }
}

/// Where the admin API is, and who asks.
#[derive(Args, Debug)]
pub(crate) struct AdminArgs {
    /// Address and port of the admin API of flk-control
    #[arg(long, value_name = "ADDRESS", env = "ADMIN_LISTEN", default_value = "127.0.0.1:8081", value_parser = address)]
    admin: SocketAddr,
    #[command(flatten)]
    token: TokenArgs,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time(Duration::from_millis(1)..=Duration::from_secs(86_400)))]
    timeout: Duration,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>();
    let mut address =
        address.map_err(|_| "it must be an address with a port, such as 127.0.0.1:8081")?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

/// The mistakes of a configuration stand one a line behind what is said of it.
fn with_mistakes(detail: &str, problem: &Value) -> String {
    let mistakes = problem["mistakes"].as_array();
    let mistakes = mistakes.into_iter().flatten().filter_map(Value::as_str);
    let lines = mistakes.map(|mistake| format!("\n  {}", printable(mistake)));
    detail.to_owned() + &lines.collect::<String>()
}

impl AdminArgs {
    /// Asks for something.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path)
    }

    /// Orders something.
    pub(crate) fn post(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::POST, path)
    }

    fn ask(&self, method: Method, path: &str) -> Result<Value, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| self.unreachable(&fault::why(&error)))?;
        let token = self.token.read()?;
        // Made inside: a timer needs the runtime's context.
        let answered = runtime.block_on(async {
            tokio::time::timeout(self.timeout, self.exchange(method, path, token)).await
        });
        let late = |_| {
            let timeout = time_text(self.timeout);
            Failure::unavailable(format!(
                "flk-control did not answer within {timeout} (--timeout); what it was asked to do it may still do"
            ))
        };
        let (status, body) = answered.map_err(late)??;
        let value: Value = serde_json::from_slice(&body)
            .map_err(|_| self.unreachable("what answers there is not flk-control"))?;
        match (status.is_success(), value["detail"].as_str()) {
            (true, _) => Ok(value),
            (false, Some(detail)) if status == StatusCode::SERVICE_UNAVAILABLE => {
                Err(Failure::unavailable(detail))
            }
            (false, Some(detail)) => Err(Failure::with(Exit::No, with_mistakes(detail, &value))),
            (false, None) => Err(self.unreachable("what answers there is not flk-control")),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        token: Option<Zeroizing<String>>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let stream = TcpStream::connect(self.admin).await;
        let stream = stream.map_err(|error| self.unreachable(&fault::why(&error)))?;
        let broken = |_| self.unreachable("the connection ended before the answer");
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(broken)?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.admin.to_string());
        if let Some(token) = &token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.as_str()));
        }
        let request = request.body(Empty::<Bytes>::new());
        let request =
            request.map_err(|_| Failure::usage("the token has characters that no token has"))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        connection.abort();
        let body = body.map_err(|_| self.unreachable("the answer did not come whole"))?;
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::unavailable(format!(
            "no answer from flk-control at {}: {why}; --admin or ADMIN_LISTEN names its address",
            self.admin
        ))
    }
}
