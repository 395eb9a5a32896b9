//! Bodies of every size in one turn: an empty one is a body like any other, and a large one waits for a batch of its own.

use super::*;
use crate::wal::batch::BATCH_BODIES_BYTES;

fn post_bytes(bytes: usize) -> String {
    post(&"x".repeat(bytes))
}

#[test]
fn an_empty_body_is_a_malformed_one_and_is_logged() {
    let mut room = Room::serving(1);
    let conn = room.connect(0);
    room.send(0, conn, post("").as_bytes());
    let heard = room.heard(0, conn);
    assert_eq!(statuses(&heard), [400]);
    assert!(heard.contains("\"code\":\"malformed_json\""), "{heard}");
    assert_eq!(kinds(&room), ["body", "refused 400"]);
}

#[test]
fn an_empty_body_and_a_large_one_meet_in_one_turn() {
    for order in [[0, BATCH_BODIES_BYTES + 1], [BATCH_BODIES_BYTES + 1, 0]] {
        let mut room = Room::serving(1);
        let conns = [room.connect(0), room.connect(0)];
        for (conn, bytes) in conns.iter().zip(order) {
            room.arrive(0, *conn, post_bytes(bytes).as_bytes());
        }
        room.run();
        for conn in conns {
            assert_eq!(statuses(&room.heard(0, conn)), [400], "{order:?}");
        }
        assert_eq!(room.written.len(), 2, "the large one has its own batch");
    }
}

#[test]
fn any_two_sizes_about_a_boundary_meet_in_one_turn_and_in_one_open_batch() {
    let limit = BATCH_BODIES_BYTES;
    let sizes = [0, 1, limit - 1, limit, limit + 1, 1 << 20];
    for first in sizes {
        for second in sizes {
            for held in [false, true] {
                let mut room = Room::serving(1);
                room.hold_writes = held;
                let conn = room.connect(0);
                room.send(0, conn, post(&record(1)).as_bytes());
                let conns = [room.connect(0), room.connect(0)];
                room.arrive(0, conns[0], post_bytes(first).as_bytes());
                room.arrive(0, conns[1], post_bytes(second).as_bytes());
                room.run();
                release(&mut room);
                for conn in conns {
                    assert_eq!(statuses(&room.heard(0, conn)), [400], "{first} {second}");
                }
            }
        }
    }
}
