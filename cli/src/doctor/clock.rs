//! Whether the wall clock follows a source: expiry clock and lines of the log stand on it across restarts. It sets nothing.

use super::finding::{Finding, Place};
use flk_dataplane::driver::clock::{Sync, sync};

/// How the kernel sees its own clock.
pub(super) fn check() -> Finding {
    of(sync())
}

fn of(sync: Sync) -> Finding {
    let check = "clock";
    match sync {
        Sync::Follows { error_max_us } => Finding::ok(
            check,
            format!(
                "it follows a source, to within {} ms",
                error_max_us.div_ceil(1000)
            ),
        ),
        Sync::Unknown => Finding::unknown(check, "not known here: the kernel does not say"),
        Sync::Free => Finding::warn(
            check,
            "the kernel's clock follows no source",
            "NTP or PTP: time of a standstill is measured by the wall clock",
        )
        .fix(
            Place::Host,
            "systemctl enable --now chrony (or systemd-timesyncd)",
        )
        .fix(
            Place::Kubernetes,
            "the same on the nodes; a pod has their clock",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn a_clock_that_follows_nothing_is_a_warning() {
        assert_eq!(of(Sync::Free).level, Level::Warn);
        let unknown = of(Sync::Unknown);
        assert_eq!((unknown.level, unknown.is_known), (Level::Ok, false));
        let good = of(Sync::Follows {
            error_max_us: 1_500,
        });
        assert_eq!(
            (good.level, good.found.as_str()),
            (Level::Ok, "it follows a source, to within 2 ms")
        );
    }
}
