//! Histograms in the two forms that other tools of HdrHistogram read: compressed V2 as base64, and the text of percentiles; and the
//! log of intervals that holds the first. It writes; tests read back what it wrote. Why it is our own: the feature of the library brings
//! a second implementation of zlib, and `r` of records depends on which one is linked.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::tally::Latencies;

/// The cookies of the format, with the bit for words of variable length.
const COOKIE: u32 = 0x1c84_9303 | 0x10;
const COOKIE_COMPRESSED: u32 = 0x1c84_9304 | 0x10;
/// Nanoseconds of a millisecond, the unit of the texts.
const UNIT_NS: f64 = 1e6;

/// The histogram in the V2 encoding, not compressed.
fn encoded(latencies: &Latencies) -> Vec<u8> {
    let payload = payload(latencies);
    let mut bytes = Vec::with_capacity(40 + payload.len());
    for word in [
        COOKIE,
        payload.len() as u32,
        0, // the offset of a shifted histogram
        u32::from(latencies.sigfig()),
    ] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(&latencies.low().to_be_bytes());
    bytes.extend_from_slice(&latencies.high().to_be_bytes());
    bytes.extend_from_slice(&1.0_f64.to_be_bytes());
    bytes.extend_from_slice(&payload);
    bytes
}

/// Counts in the order of their values; a run of zeros is one negative number.
fn payload(latencies: &Latencies) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = 0;
    for value in latencies.iter_recorded() {
        let index = index_of(value.value_iterated_to(), latencies.sigfig());
        if index > next {
            write_number(&mut bytes, -((index - next) as i64));
        }
        write_number(
            &mut bytes,
            i64::try_from(value.count_at_value()).unwrap_or(i64::MAX),
        );
        next = index + 1;
    }
    if next == 0 {
        write_number(&mut bytes, -1);
    }
    bytes
}

/// Where the count of a value stands, in a histogram of values from 1 on.
fn index_of(value: u64, digits: u8) -> u64 {
    let sub_buckets_bits = u64::BITS - (2 * 10_u64.pow(u32::from(digits)) - 1).leading_zeros();
    let mask = (1_u64 << sub_buckets_bits) - 1;
    let bucket = u64::BITS - (value | mask).leading_zeros() - sub_buckets_bits;
    let half = 1_u64 << (sub_buckets_bits - 1);
    (u64::from(bucket) + 1) * half + (value >> bucket) - half
}

/// ZigZag and LEB128 of at most nine bytes, the last one whole.
fn write_number(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    for _ in 0..8 {
        if rest < 0x80 {
            out.push(rest as u8);
            return;
        }
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The histogram in the V2 encoding, compressed, as base64.
pub fn compressed(latencies: &Latencies) -> io::Result<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&encoded(latencies))?;
    let packed = encoder.finish()?;
    let mut bytes = COOKIE_COMPRESSED.to_be_bytes().to_vec();
    bytes.extend_from_slice(&(packed.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&packed);
    Ok(STANDARD.encode(bytes))
}

/// Percentiles in milliseconds, as `outputPercentileDistribution` of other implementations prints them.
pub fn percentiles(latencies: &Latencies) -> String {
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for value in latencies.iter_quantiles(5) {
        total += value.count_since_last_iteration();
        let (at, milliseconds) = (
            value.quantile_iterated_to(),
            value.value_iterated_to() as f64 / UNIT_NS,
        );
        let _ = write!(text, "{milliseconds:12.3} {at:14.12} {total:10}");
        let _ = match at < 1.0 {
            true => writeln!(text, " {:14.2}", 1.0 / (1.0 - at)),
            false => writeln!(text),
        };
    }
    let (mean, deviation) = (latencies.mean() / UNIT_NS, latencies.stdev() / UNIT_NS);
    let (max, count) = (latencies.max() as f64 / UNIT_NS, latencies.len());
    let sub_buckets = (2 * 10_u64.pow(u32::from(latencies.sigfig()))).next_power_of_two();
    let _ = writeln!(
        text,
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]"
    );
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {count:12}]");
    let _ = writeln!(
        text,
        "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]",
        latencies.buckets()
    );
    text
}

/// One line of a log of intervals: seconds since the start, length, largest latency in milliseconds, and the histogram.
pub fn log_line(start_s: f64, length_s: f64, latencies: &Latencies) -> io::Result<String> {
    let max = latencies.max() as f64 / UNIT_NS;
    let histogram = compressed(latencies)?;
    Ok(format!("{start_s:.3},{length_s:.3},{max:.3},{histogram}"))
}

/// What stands above the lines of a log whose first interval began at this time, in seconds since 1970.
pub fn log_head(start_unix_s: f64) -> String {
    format!(
        "#[Logged by flk bench]\n#[Histogram log format version 1.3]\n#[StartTime: {start_unix_s:.3} (seconds since epoch)]\n\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"HistogramBase64\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::latencies;
    use std::io::Read as _;

    fn recorded(values: &[(u64, u64)]) -> Latencies {
        let mut all = latencies().unwrap();
        for (value, count) in values {
            all.record_n(*value, *count).unwrap();
        }
        all
    }

    /// Reads counts back, by index.
    fn counts(mut payload: &[u8]) -> Vec<u64> {
        let mut counts = Vec::new();
        while !payload.is_empty() {
            let (mut raw, mut used) = (0_u64, 0);
            for (at, byte) in payload.iter().take(9).enumerate() {
                let byte = u64::from(*byte);
                used = at + 1;
                if at == 8 {
                    raw |= byte << 56;
                    break;
                }
                raw |= (byte & 0x7f) << (7 * at);
                if byte < 0x80 {
                    break;
                }
            }
            payload = &payload[used..];
            let number = (raw >> 1) as i64 ^ -((raw & 1) as i64);
            match number < 0 {
                true => counts.resize(counts.len() + number.unsigned_abs() as usize, 0),
                false => counts.push(number as u64),
            }
        }
        counts
    }

    #[test]
    fn what_was_compressed_has_every_count_at_its_place() {
        let values = [
            (1, 1),
            (2_047, 3),
            (2_048, 5),
            (1_000_000, 70_000),
            (3_600_000_000_000, 1 << 40),
        ];
        let all = recorded(&values);
        let bytes = STANDARD.decode(compressed(&all).unwrap()).unwrap();
        assert_eq!(bytes[..4], COOKIE_COMPRESSED.to_be_bytes());
        assert_eq!(bytes[4..8], ((bytes.len() - 8) as u32).to_be_bytes());
        let mut plain = Vec::new();
        flate2::read::ZlibDecoder::new(&bytes[8..])
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(plain, encoded(&all));
        let counts = counts(&plain[40..]);
        for (value, count) in values {
            assert_eq!(counts[index_of(value, 3) as usize], count, "{value}");
        }
        assert_eq!(counts.iter().sum::<u64>(), all.len());
    }

    /// The bytes of hdrhistogram 0.10.8 for Python for the same values.
    #[test]
    fn the_encoding_is_that_of_another_implementation() {
        let all = recorded(&[
            (1, 1),
            (2_047, 3),
            (2_048, 5),
            (1_000_000, 70_000),
            (250_000_000, 1),
        ]);
        let hex: String = encoded(&all).iter().map(|it| format!("{it:02x}")).collect();
        assert_eq!(
            hex,
            "1c8493130000000f000000000000000300000000000000010000034630b8a0003ff00000000000000102f91f060abf8e01e0c508a17f02"
        );
    }

    /// The index of a value by trying all: the number of distinct values below it that the histogram can tell apart.
    #[test]
    fn the_index_counts_the_values_that_can_be_told_apart() {
        let all = latencies().unwrap();
        let (mut value, mut index) = (0, 0);
        while value < 1 << 20 {
            assert_eq!(index_of(value, 3), index, "{value}");
            value = all.highest_equivalent(value) + 1;
            index += 1;
        }
    }

    #[test]
    fn the_text_of_percentiles_ends_with_the_largest_value_and_the_count() {
        let all = recorded(&[(1_000_000, 99), (250_000_000, 1)]);
        let text = percentiles(&all);
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap(),
            "       Value     Percentile TotalCount 1/(1-Percentile)"
        );
        assert!(
            text.contains("\n       1.000 0.000000000000         99           1.00\n"),
            "{text}"
        );
        assert!(
            text.contains(" 1.000000000000        100\n#[Mean"),
            "{text}"
        );
        assert!(text.contains("Total count    =          100]"), "{text}");
    }
}
