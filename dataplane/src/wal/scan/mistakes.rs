//! The mistakes that can be planted in the reading of a log and need more than one wrong condition. Compiled with the feature
//! `planted-bugs` only: a release holds neither this code nor anything that it needs.

#![cfg(feature = "planted-bugs")]

use crate::planted::{Bug, planted};
use crate::wal::batch::BatchHeader;

/// The mistakes of [`Bug::ScanStopsAtFirstBadHeader`] and [`Bug::ZerosTakenForEnd`]: whether the look ahead ends here.
pub(super) fn ends_early_if_planted(block: &[u8]) -> bool {
    let stops = planted(Bug::ScanStopsAtFirstBadHeader) && BatchHeader::decode(block).is_err();
    let zeros = planted(Bug::ZerosTakenForEnd) && block.iter().all(|&byte| byte == 0);
    stops || zeros
}
