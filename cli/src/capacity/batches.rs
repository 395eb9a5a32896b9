//! Batches of a log under an open loop: how many records share one write, and what that costs in CPU and bytes. Pure functions of
//! a rate, a time of the device and the size of a body.

use super::constants as c;

/// Above this mean a batch is taken for one of the mean size.
const MEAN_SUMMED_MAX: f64 = 64.0;

/// The batches of one log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batches {
    /// Arrivals from one write to the next, on average.
    arrivals: f64,
    /// Records of the log in a second.
    per_second: f64,
}

impl Batches {
    /// Records come independently of each other; while one batch is written, and worked on, the next one fills.
    pub(super) fn of(per_second: f64, flush_s: f64) -> Batches {
        // arrivals = rate × (flush + arrivals × work of a record)
        let work = (per_second * c::RECORD_US.value * 1e-6).min(c::WORK_SHARE_MAX.value);
        Batches::with(per_second, per_second * flush_s / (1.0 - work))
    }

    /// Batches with so many arrivals during one, on average.
    pub(super) fn with(per_second: f64, arrivals: f64) -> Batches {
        Batches {
            arrivals,
            per_second,
        }
    }

    /// Records in a batch: those that came during the last write, or the one that came to an idle log.
    pub(super) fn records(&self) -> f64 {
        self.arrivals + (-self.arrivals).exp()
    }

    /// Batches in a second.
    pub(super) fn count_per_second(&self) -> f64 {
        self.per_second / self.records()
    }

    /// Marks in a second: batches behind which nothing comes for a while.
    pub(super) fn marks_per_second(&self) -> f64 {
        self.count_per_second() * (-self.per_second * c::MARK_AFTER_S.value).exp()
    }

    /// Bytes of log for each record, whose body is that long, marks included.
    pub(super) fn bytes_per_record(&self, body_bytes: f64) -> f64 {
        let record_bytes = body_bytes + c::BODY_RECORDS_BYTES.value;
        let batch = self.batch_bytes(record_bytes) / self.records();
        batch + self.marks_per_second() * c::BLOCK_BYTES.value / self.per_second
    }

    /// Bytes of a batch on average, padding included.
    fn batch_bytes(&self, record_bytes: f64) -> f64 {
        let block = c::BLOCK_BYTES.value;
        let plain = |records: f64| c::BATCH_HEAD_BYTES.value + records * record_bytes;
        if self.arrivals > MEAN_SUMMED_MAX {
            return plain(self.records()) + block / 2.0;
        }
        let padded = |records: f64| (plain(records) / block).ceil() * block;
        // No arrival: the next record is alone in its batch.
        let mut probability = (-self.arrivals).exp();
        let mut bytes = probability * padded(1.0);
        let mut left = 1.0 - probability;
        let mut records = 0.0;
        while left > 1e-9 && records < 10.0 * MEAN_SUMMED_MAX {
            records += 1.0;
            probability *= self.arrivals / records;
            bytes += probability * padded(records);
            left -= probability;
        }
        bytes
    }

    /// Bytes that a record takes once its segment is packed; nothing where that does not pay.
    pub(super) fn packed_bytes_per_record(&self, body_bytes: f64) -> Option<f64> {
        let written = self.bytes_per_record(body_bytes);
        let frames = self.count_per_second() + self.marks_per_second();
        let frames = frames / self.per_second * c::FRAME_BYTES.value;
        let packed = body_bytes + c::BODY_RECORDS_BYTES.value + frames;
        (packed <= written / 2.0).then_some(packed)
    }
}

/// CPU of a record in a batch of so many, in microseconds: without look-ups, seals and Ed25519.
pub(super) fn cpu_us(records: f64) -> f64 {
    c::RECORD_US.value + c::BATCH_US.value / records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_record_takes_a_block_and_its_mark_another_one() {
        let alone = Batches::of(0.01, 100e-6);
        assert!((alone.records() - 1.0).abs() < 1e-6);
        assert!((alone.bytes_per_record(640.0) - 8192.0).abs() < 2.0);
        // docs/storage.md: a body of 640 bytes takes 1,080 once it is packed.
        let packed = alone.packed_bytes_per_record(640.0).unwrap();
        assert!((packed - 1080.0).abs() < 15.0, "{packed}");
        let without_marks = Batches::with(5_000.0, 0.005);
        assert!((without_marks.bytes_per_record(640.0) - 4096.0).abs() < 30.0);
    }

    #[test]
    fn large_batches_take_little_more_than_what_is_in_them() {
        for (records, per_record) in [(32.0, 915.0), (128.0, 865.0)] {
            let batches = Batches::with(100e3, records);
            let bytes = batches.bytes_per_record(640.0);
            assert!((bytes - per_record).abs() < 5.0, "{bytes}");
            assert_eq!(batches.packed_bytes_per_record(640.0), None, "not packed");
        }
    }

    #[test]
    fn batches_grow_with_the_rate_and_with_what_a_write_takes() {
        let records = |per_second, flush_s| Batches::of(per_second, flush_s).records();
        assert!(records(1e3, 110e-6) < 1.02);
        let slow = records(20e3, 1e-3);
        assert!(
            (25.0..26.0).contains(&slow),
            "20 in a write, more while it works: {slow}"
        );
        let mut before = 0.0;
        for per_second in [10.0, 1e3, 10e3, 50e3, 90e3, 200e3] {
            let now = records(per_second, 110e-6);
            assert!(now > before && now.is_finite(), "{now}");
            before = now;
        }
    }

    #[test]
    fn the_two_ways_to_count_padding_agree_where_they_meet() {
        let [below, above] = [63.9, 64.1].map(|it| Batches::with(64e3, it));
        let [below, above] = [below, above].map(|it| it.bytes_per_record(700.0));
        assert!((below - above).abs() / above < 0.005, "{below} {above}");
    }

    #[test]
    fn a_record_costs_less_in_a_larger_batch() {
        let mut before = f64::INFINITY;
        for records in [1.0, 2.0, 8.0, 64.0, 1024.0] {
            let us = cpu_us(records);
            assert!(us < before);
            before = us;
        }
        assert!(before - c::RECORD_US.value < 0.1);
    }
}
