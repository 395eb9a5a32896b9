//! The load generator as a command: `flk-bench-load ADDRESS CONNECTIONS SECONDS KEY [CPU] [FIRST]`.
//! It prints what it measured and ends with 1 where an answer was not 200 or a connection was lost.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use flk_bench_load::{Load, Stock, cpu};

const USAGE: &str = "usage: flk-bench-load ADDRESS CONNECTIONS SECONDS KEY [CPU] [FIRST]\n  \
    ADDRESS such as 127.0.0.1:8080, KEY the HMAC key as text, CPU to run on (1), FIRST record to start with (0)";
/// Records made per second of load: above what one thread can send.
const RECORDS_PER_SECOND: usize = 200_000;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("flk-bench-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<bool> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize| words.get(index).ok_or_else(|| io::Error::other(USAGE));
    let address = parsed(word(0)?)?;
    let connections_count = parsed(word(1)?)?;
    let seconds: usize = parsed(word(2)?)?;
    let cpu_index = words.get(4).map_or(Ok(1), |text| parsed(text))?;
    let first = words.get(5).map_or(Ok(0), |text| parsed(text))?;

    let mut stock = Stock::sign(word(3)?.as_bytes(), first, seconds * RECORDS_PER_SECOND);
    cpu::pin_to(cpu_index)?;
    let measured = Load::connect(address, connections_count)?
        .run(&mut stock, Duration::from_secs(seconds as u64))?;
    println!(
        "{:.0} requests/s, p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs, statuses {:?}, {} connections lost{}",
        measured.per_second(),
        measured.latency_us(0.5),
        measured.latency_us(0.99),
        measured.latency_us(0.999),
        measured.statuses,
        measured.lost_count,
        if measured.ran_dry {
            ", records ran out"
        } else {
            ""
        },
    );
    Ok(measured.other_than_200_count() == 0 && measured.lost_count == 0)
}

fn parsed<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse()
        .map_err(|_| io::Error::other(format!("`{text}` does not fit here\n{USAGE}")))
}
