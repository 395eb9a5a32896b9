//! Runs this program under valgrind and reads what it counted. It knows nothing of the committed numbers.

use super::Row;
use std::fmt;
use std::process::{Command, Output};

/// What the counts depend on besides the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Instructions that the program finds under valgrind, for which libraries choose their code. The same on every x86-64
    /// CPU with AVX2: valgrind shows one CPU of its own.
    pub cpu: String,
    /// The compiler.
    pub compiler: String,
    /// The counter.
    pub valgrind: String,
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            cpu,
            compiler,
            valgrind,
        } = self;
        write!(out, "{cpu}; {compiler}; {valgrind}")
    }
}

/// The instructions of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its name.
    pub name: &'static str,
    /// Per record.
    pub instructions: u64,
}

impl Machine {
    /// Asks compiler and valgrind.
    ///
    /// # Errors
    /// What is missing.
    pub fn look() -> Result<Machine, String> {
        let first_line = |program: &str| {
            let output = Command::new(program).arg("--version").output();
            let output = output.map_err(|error| format!("{program}: {error}"))?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok::<_, String>(text.lines().next().unwrap_or_default().trim().to_owned())
        };
        let valgrind = first_line("valgrind").map_err(|error| {
            format!("{error} (Debian package valgrind, which `make setup` installs)")
        })?;
        let compiler = first_line("rustc")?;
        let output = under_valgrind(&["cpu"])?;
        let cpu = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Machine {
            cpu,
            compiler,
            valgrind,
        })
    }
}

/// The instruction sets that this process finds, of those by which code is chosen.
pub fn cpu() -> String {
    #[cfg(target_arch = "x86_64")]
    let found = [
        ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
        ("pclmulqdq", std::is_x86_feature_detected!("pclmulqdq")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("bmi2", std::is_x86_feature_detected!("bmi2")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("sha", std::is_x86_feature_detected!("sha")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let found: [(&str, bool); 0] = [];
    let found = found.iter().filter(|(_, it)| *it).map(|(name, _)| *name);
    let names: Vec<&str> = std::iter::once(std::env::consts::ARCH)
        .chain(found)
        .collect();
    names.join(" ")
}

/// Counts all lines, as many at a time as there are CPUs. They come back in another order.
///
/// # Errors
/// A run failed: what it said.
pub fn count(rows: &[Row]) -> Result<Vec<Counted>, String> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let part = |worker| {
            let rows = rows.iter().skip(worker).step_by(workers);
            scope.spawn(|| rows.map(count_one).collect::<Result<Vec<_>, _>>())
        };
        let threads: Vec<_> = (0..workers).map(part).collect();
        let parts = threads.into_iter().map(|thread| thread.join());
        let parts = parts.map(|part| part.map_err(|_| "a thread that counts failed".to_owned())?);
        Ok(parts.collect::<Result<Vec<_>, String>>()?.concat())
    })
}

fn count_one(row: &Row) -> Result<Counted, String> {
    let shorter = instructions(row.name, row.warm_up)?;
    let longer = instructions(row.name, row.warm_up + row.counted)?;
    let more = longer.checked_sub(shorter);
    let more = more.ok_or_else(|| format!("{}: more calls cost fewer instructions", row.name))?;
    Ok(Counted {
        name: row.name,
        instructions: more / (row.counted * row.records),
    })
}

/// Instructions of this program if it runs a line so often.
fn instructions(name: &str, times: u64) -> Result<u64, String> {
    let output = under_valgrind(&["run", name, &times.to_string()])?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text
        .lines()
        .find_map(|line| line.split_once("I   refs:"))
        .and_then(|(_, count)| count.trim().replace(',', "").parse().ok());
    count.ok_or_else(|| format!("valgrind counted nothing:\n{text}"))
}

fn under_valgrind(arguments: &[&str]) -> Result<Output, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no"])
        .arg("--cachegrind-out-file=/dev/null")
        .arg(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
