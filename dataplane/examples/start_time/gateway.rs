//! Starts the real gateway binary on a directory and measures its start from outside: what a client sees of it, and what
//! `/proc` says of the process. It ends the process that it started, whatever happens.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A start takes no longer than this, or is given up.
const START_MAX: Duration = Duration::from_secs(900);
/// Between two looks at a gateway that is not ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a start took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// From the start of the process to the first 200 of `/livez`.
    pub(crate) livez: Duration,
    /// The same for `/readyz`.
    pub(crate) ready: Duration,
    /// The longest that a probe took to be answered meanwhile.
    pub(crate) slowest: Duration,
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Resident memory: the largest, and that at the end.
    pub(crate) peak_bytes: u64,
    pub(crate) resident_bytes: u64,
    /// Bytes that read calls returned.
    pub(crate) read_bytes: u64,
    /// Keys in the tables, as the metrics say.
    pub(crate) keys_count: u64,
    /// Its lines, each with its time.
    pub(crate) said: Vec<(Duration, String)>,
}

struct Gateway {
    child: Child,
    lines: Receiver<(Duration, String)>,
    said: Vec<(Duration, String)>,
    began: Instant,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    fn start(binary: &Path, directory: &Path, settings: &[(&str, String)]) -> Result<Gateway> {
        let began = Instant::now();
        let mut child = Command::new(binary)
            .env_clear()
            .env("WAL_DIR", directory)
            .env("PORT", "0")
            .env("PCS_HMAC_KEY", "a key of a bench, which signs nothing")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Error::other(format!("{}: {error}", binary.display())))?;
        let stderr = child.stderr.take().ok_or(Error::other("no stderr"))?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send((began.elapsed(), line)).is_err() {
                    return;
                }
            }
        });
        Ok(Gateway {
            child,
            lines,
            said: Vec::new(),
            began,
        })
    }

    fn listen(&mut self) {
        self.said.extend(self.lines.try_iter());
    }

    /// Fails if the process has ended or takes too long.
    fn check(&mut self) -> Result<()> {
        self.listen();
        let ended = self.child.try_wait()?;
        if ended.is_none() && self.began.elapsed() < START_MAX {
            return Ok(());
        }
        let said: Vec<&str> = self.said.iter().map(|(_, line)| line.as_str()).collect();
        Err(Error::other(format!(
            "the gateway did not start ({ended:?}):\n{}",
            said.join("\n")
        )))
    }

    fn address(&mut self) -> Result<String> {
        loop {
            self.check()?;
            let found = self.said.iter().find_map(|(_, line)| {
                let (_, address) = line.split_once("listens on http://")?;
                Some(address.trim().to_owned())
            });
            match found {
                Some(address) => return Ok(address),
                None => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    fn proc_number(&self, file: &str, name: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or(Error::other(format!("no {name} in /proc/…/{file}")))
    }

    fn cpu(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the name in parentheses, which may hold anything.
        let fields = text.rsplit(") ").next().unwrap_or_default();
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
        let per_s = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / per_s as f64))
    }
}

/// Status and body of a GET.
fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    let status = status.ok_or(Error::other(format!("no status: {answer:?}")))?;
    Ok((status, body.unwrap_or_default().to_owned()))
}

/// Starts the gateway, waits until it is ready, lets somebody ask it something, and ends it.
pub(crate) fn measure(
    binary: &Path,
    directory: &Path,
    settings: &[(&str, String)],
    ask: impl FnOnce(&str) -> Result<()>,
) -> Result<Measured> {
    let mut gateway = Gateway::start(binary, directory, settings)?;
    let mut measured = Measured::default();
    let address = gateway.address()?;
    while get(&address, "/livez")?.0 != 200 {
        gateway.check()?;
    }
    measured.livez = gateway.began.elapsed();
    loop {
        let asked = Instant::now();
        let (status, _) = get(&address, "/readyz")?;
        measured.slowest = measured.slowest.max(asked.elapsed());
        if status == 200 {
            break;
        }
        gateway.check()?;
        std::thread::sleep(LOOK_EVERY);
    }
    measured.ready = gateway.began.elapsed();
    measured.cpu = gateway.cpu()?;
    let kib = |name| gateway.proc_number("status", name).map(|kib| kib * 1024);
    measured.peak_bytes = kib("VmHWM:")?;
    measured.resident_bytes = kib("VmRSS:")?;
    measured.read_bytes = gateway.proc_number("io", "rchar:")?;
    measured.keys_count = keys_at_rest(&address)?;
    ask(&address)?;
    gateway.listen();
    measured.said = std::mem::take(&mut gateway.said);
    Ok(measured)
}

/// Keys in the tables once the number rests: each shard is ready by itself, and counts what it has loaded in its next turn.
fn keys_at_rest(address: &str) -> Result<u64> {
    let keys = || -> Result<u64> {
        let (_, metrics) = get(address, "/metrics")?;
        let keys = metrics
            .lines()
            .find_map(|line| line.strip_prefix("flk_dedup_keys "));
        Ok(keys.and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0) as u64)
    };
    let mut before = keys()?;
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = keys()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
}
