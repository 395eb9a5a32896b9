//! The memory of the process, divided between tables and slices: once for the settings of a start, for the slices that it finds
//! and for each new set.

/// Memory that the process may use, and what of it is taken whatever tables and slices hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRoom {
    /// Bytes that the process may use.
    pub bytes: u64,
    /// What sets that limit, in words.
    pub what: &'static str,
    /// Bytes that the process and its shards take besides.
    pub others_bytes: u64,
    /// Whether tables of this size were asked for. If not, they give way to slices.
    pub tables_are_asked_for: bool,
}

impl MemoryRoom {
    fn left_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.others_bytes)
    }

    /// The largest tables that fit beside slices that take so much, in whole MiB; 0 if none do.
    ///
    /// A seal holds for every four bytes of tables up to one of decisions that it takes out of the log. So does a start, and
    /// hands them over in another one; nothing else is in the tables then.
    pub fn tables_bytes_max(&self, slices_bytes: u64) -> u64 {
        let left = self.left_bytes().saturating_sub(slices_bytes);
        ((left / 5 * 4) >> 20) << 20
    }

    /// What filters and indexes of slices may take beside tables of this size.
    pub fn slices_bytes_max(&self, tables_bytes: u64) -> u64 {
        let tables = tables_bytes.saturating_add(tables_bytes / 4);
        self.left_bytes().saturating_sub(tables)
    }

    /// What the process needs for slices and tables of these sizes.
    pub(crate) fn needed_bytes(&self, slices_bytes: u64, tables_bytes: u64) -> u64 {
        let parts = [tables_bytes, tables_bytes / 4, slices_bytes];
        parts
            .into_iter()
            .fold(self.others_bytes, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn room(left: u64) -> MemoryRoom {
        MemoryRoom {
            bytes: 40 * MIB + left,
            what: "its cgroup",
            others_bytes: 40 * MIB,
            tables_are_asked_for: true,
        }
    }

    #[test]
    fn tables_that_are_advised_fit_and_a_mebibyte_more_does_not() {
        for left in (0..600).map(|step| step * MIB / 3) {
            for slices in (0..60).map(|step| step * MIB / 2) {
                let room = room(left);
                let tables = room.tables_bytes_max(slices);
                let fits = |tables| {
                    let all = tables + tables / 4;
                    all <= left && slices <= room.slices_bytes_max(tables)
                };
                assert!(tables == 0 || fits(tables), "{left} {slices}");
                // Rounding of the shares takes a few bytes at most.
                let more = tables + MIB + 8;
                assert!(!fits(more), "{left} {slices}: {tables}");
            }
        }
    }

    #[test]
    fn slices_may_take_what_others_tables_and_a_seal_leave() {
        let room = room(100 * MIB);
        assert_eq!(room.slices_bytes_max(0), 100 * MIB);
        assert_eq!(room.slices_bytes_max(64 * MIB), 20 * MIB);
        assert_eq!(room.slices_bytes_max(80 * MIB), 0);
        assert_eq!(room.slices_bytes_max(u64::MAX), 0);
        assert_eq!(room.needed_bytes(20 * MIB, 64 * MIB), room.bytes);
        assert_eq!(room.needed_bytes(u64::MAX, u64::MAX), u64::MAX);
        let nothing = MemoryRoom { bytes: 1, ..room };
        assert_eq!(nothing.slices_bytes_max(1), 0);
        assert_eq!(nothing.tables_bytes_max(0), 0);
    }
}
