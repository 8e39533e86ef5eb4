//! Changes that the machine's end interrupted.

use convoy_journal::SimulatedDisk;

use super::scenes::{
    Case, case, compacted, edit, flip, rolling, usual, with_file_of, with_snapshots, without, zero,
};
use crate::fixture::{segment, snapshot, snapshot_file};

pub(super) const CASES: &[Case] = &[
    case(
        "stopped before a new segment was renamed",
        || {
            let disk = usual();
            disk.put("log.tmp", &disk.contents(&segment(3)).unwrap());
            disk
        },
        "entries 1 to 8, commit 0",
    ),
    case(
        "stopped while a new segment was created",
        || {
            let disk = usual();
            disk.put("log.tmp", &[0; 300]);
            disk
        },
        "entries 1 to 8, commit 0",
    ),
    case(
        "stopped before a full segment was sealed",
        rolling,
        "entries 1 to 6, commit 0",
    ),
    case(
        "stopped while a full segment was sealed",
        || {
            let disk = rolling();
            edit(disk, &segment(2), |bytes| bytes[850] = 1)
        },
        "entries 1 to 6, commit 0, 3 bytes cut",
    ),
    case(
        "stopped before a full segment was sealed, its last record torn",
        || zero(rolling(), &segment(2), 700, 848),
        "entries 1 to 5, commit 0, 92 bytes cut",
    ),
    case(
        "a segment has no seal and the next has a record",
        || zero(usual(), &segment(2), 848, 1024),
        "log-00000000000000000002.wal is damaged at byte 848: zeroes stand where a record should be, and what comes after it \
         shows that it was durable",
    ),
    case(
        "stopped in initialise before the rename",
        || {
            let disk = SimulatedDisk::new(1);
            disk.put("log.tmp", &[0; 1024]);
            disk
        },
        "nothing was ever written",
    ),
    case(
        "compacted",
        compacted,
        "entries 7 to 8, commit 6, snapshot 6",
    ),
    case(
        "stopped in compaction before any segment was removed",
        || {
            let disk = with_snapshots();
            let compacted = compacted();
            with_file_of(disk, &compacted, &segment(3))
        },
        "entries 7 to 8, commit 6, snapshot 6",
    ),
    case(
        "stopped in compaction, a later segment was removed and an earlier one was not",
        || {
            let disk = compacted();
            with_file_of(disk, &usual(), &segment(1))
        },
        "entries 7 to 8, commit 6, snapshot 6",
    ),
    case(
        "a segment is missing that compaction would remove",
        || without(with_snapshots(), &[segment(1)]),
        "log-00000000000000000001.wal is missing, entries 1 to 3 are lost with it",
    ),
    case(
        "the record of a compaction was damaged",
        || flip(compacted(), &segment(3), 660),
        "log-00000000000000000002.wal is missing, entries 1 to 6 are lost with it",
    ),
    case(
        "stopped before a snapshot was renamed",
        || {
            let disk = without(with_snapshots(), &[snapshot_file(6, 1)]);
            let whole = with_snapshots().contents(&snapshot_file(6, 1)).unwrap();
            disk.put(&format!("{}.0.tmp", snapshot_file(6, 1)), &whole);
            disk
        },
        "entries 1 to 8, commit 6, snapshot 3",
    ),
    case(
        "stopped while a snapshot was written",
        || {
            let disk = usual();
            disk.put(&format!("{}.0.tmp", snapshot_file(6, 1)), b"CONVOYSN");
            disk
        },
        "entries 1 to 8, commit 0",
    ),
    case(
        "stopped after a received snapshot was renamed, before the log was told",
        || {
            let disk = usual();
            snapshot(&disk, 20, 3);
            disk
        },
        "no entries after 20, commit 20, term 3, snapshot 20",
    ),
    case(
        "the same, and the snapshot ends within a log that contradicts it",
        || {
            let disk = usual();
            snapshot(&disk, 5, 2);
            disk
        },
        "no entries after 5, commit 5, term 2, snapshot 5",
    ),
    case(
        "stopped while the reserve was made",
        || {
            let disk = usual();
            disk.put("reserve.tmp", &[0; 100]);
            disk
        },
        "entries 1 to 8, commit 0",
    ),
    case(
        "the reserve has another length than is wanted",
        || {
            let disk = usual();
            disk.put("reserve.wal", &[0; 100]);
            disk
        },
        "entries 1 to 8, commit 0",
    ),
];
