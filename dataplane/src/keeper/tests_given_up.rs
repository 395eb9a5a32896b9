//! What becomes of a log after a segment of it was given up whole: it goes on to be sealed, deleted and started from.

use crate::keeper::notice::Notice;
use crate::keeper::port::{CommandId, KeeperEvent};
use crate::keeper::test_disk::Lost;
use crate::keeper::tests_quarantine::{Written, mended};

const DAY_S: u32 = 86_400;

#[test]
fn a_log_whose_first_segment_was_given_up_whole_is_sealed_and_started_from_like_any_other() {
    // Of the first segment, which no manifest has closed, nothing is left; the next one says where it ended.
    for left_bytes in [512, 4096] {
        let written = Written::new(0);
        let (first, lost) = &written.segments[0];
        let lost: Vec<u32> = lost.iter().map(|(record, _)| *record).collect();
        let kept: Vec<u32> = written.segments[1].1.iter().map(|(it, _)| *it).collect();
        let mut world = written.world;
        world.disk.tamper(first, |bytes| bytes.truncate(left_bytes));
        let (mut world, given_up) = mended(world);
        assert_eq!(given_up, std::slice::from_ref(first));
        assert_eq!(world.known(), kept, "all but {lost:?}");
        // The start ended the log: what it stated of the empty segment is read by each seal and start from now on.
        for start in 0..2 {
            world = world.restarted(Lost::Everything, 1, 1);
            world.assert_serving();
            assert_eq!(world.known(), kept, "start {start}");
        }
        world.decide(0, 1_000, DAY_S);
        let line = "flk1 compact --older-than 1000000".to_string();
        let id = CommandId(1);
        world.happen(KeeperEvent::Command { id, line });
        world.pass_s(10);
        let damage = |it: &&Notice| matches!(it, Notice::DamageWhileSealing { .. });
        assert_eq!(world.notices.iter().find(damage), None);
        let sealed = |it: &Notice| matches!(it, Notice::Sealed { .. });
        assert!(world.notices.iter().any(sealed));
        assert_eq!(world.exit, None);
    }
}
