//! The table of the gateway's own shard under other drivers: what an executor between shard and kernel takes. It only writes.

use std::fmt;

use super::systems::Promise;
use super::{CONNECTIONS_COUNTS, Row};
use crate::level::Level;

/// Writes those of the rows that are of the ablation, if there are any; the first is the one that the others are held against.
pub(super) fn write(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let rows = rows
        .iter()
        .filter(|row| row.system.promise == Promise::OwnShard);
    let rows: Vec<&Row> = rows.collect();
    let Some(first) = rows.first() else {
        return Ok(());
    };
    writeln!(
        f,
        "\n**Ablation: our shard under other executors.** One program, one shard, the log written directly and synchronously; only what runs the shard differs.\n\n\
         | the shard runs under | connections | requests/s | p50 ms | p99 ms | CPU µs/req | user | system | CPU beside {} | records in a log write | CPU of others |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        first.system.name
    )?;
    for row in &rows {
        for (at, count) in CONNECTIONS_COUNTS.into_iter().enumerate() {
            let name = if at == 0 { row.system.name } else { "" };
            writeln!(
                f,
                "| {name} | {count} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.1} | {:.2} | {:.0} | {:.0} % |",
                row.rate(at),
                row.latency_ms(at, 0.5),
                row.latency_ms(at, 0.99),
                row.cpu_us(at),
                row.of(at, Level::user_us),
                row.of(at, Level::system_us),
                row.cpu_us(at) / first.cpu_us(at),
                row.of(at, records_in_a_write),
                row.strangers_share(at) * 100.0,
            )?;
        }
    }
    Ok(())
}

fn records_in_a_write(level: &Level) -> f64 {
    let wal = level.wal.as_ref();
    wal.map_or(f64::NAN, |it| it.records_count / it.syncs_count)
}
