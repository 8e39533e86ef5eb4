//! Segments that were torn, damaged, cut, mixed up or lost.

use convoy_journal::{JournalLimits, SimulatedDisk};

use super::scenes::{
    Case, case, cut, edit, flip, of_another_replica, rolling, unsynced, usual, with_file_of,
    with_snapshots, without, zero,
};
use crate::fixture::{LIMITS, entry, fill, hard_state, initialised, initialised_with, segment};

pub(super) const CASES: &[Case] = &[
    case("nothing happened", usual, "entries 1 to 8, commit 0"),
    case(
        "an empty folder",
        || SimulatedDisk::new(1),
        "nothing was ever written",
    ),
    case(
        "a bit of the last record's payload flipped: it could be torn",
        || flip(usual(), &segment(3), 500),
        "entries 1 to 7, commit 0, 240 bytes cut",
    ),
    case(
        "a bit of the last record's header flipped",
        || flip(usual(), &segment(3), 368),
        "entries 1 to 7, commit 0, 240 bytes cut",
    ),
    case(
        "the last record's length flipped beyond the segment",
        || flip(usual(), &segment(3), 371),
        "entries 1 to 7, commit 0, 240 bytes cut",
    ),
    case(
        "the last record was torn in its middle",
        || zero(usual(), &segment(3), 450, 608),
        "entries 1 to 7, commit 0, 82 bytes cut",
    ),
    case(
        "only the second half of the last record was written",
        || zero(usual(), &segment(3), 368, 450),
        "entries 1 to 7, commit 0, 240 bytes cut",
    ),
    case(
        "the last record was not written at all",
        || zero(usual(), &segment(3), 368, 608),
        "entries 1 to 7, commit 0",
    ),
    case(
        "garbage lies behind the last record",
        || edit(usual(), &segment(3), |bytes| bytes[608..900].fill(7)),
        "entries 1 to 8, commit 0, 292 bytes cut",
    ),
    case(
        "garbage lies at the very end, where no record fits",
        || edit(usual(), &segment(3), |bytes| bytes[1020..].fill(7)),
        "entries 1 to 8, commit 0, 416 bytes cut",
    ),
    case(
        "a torn tail in the only segment",
        || zero(unsynced(), &segment(1), 500, 656),
        "entries 1 to 1, commit 0, 480 bytes cut",
    ),
    case(
        "of two writes that were not synced the first was lost",
        || zero(unsynced(), &segment(1), 416, 656),
        "entries 1 to 1, commit 0, 480 bytes cut",
    ),
    case(
        "the record before two that were not synced is damaged",
        || flip(unsynced(), &segment(1), 300),
        "log-00000000000000000001.wal is damaged at byte 176: the checksum of a record's payload is wrong, and what comes \
         after it shows that it was durable, entries 1 to 3 are lost with it",
    ),
    case(
        "a record was damaged after a later one was synced",
        || flip(usual(), &segment(3), 200),
        "log-00000000000000000003.wal is damaged at byte 128: the checksum of a record's payload is wrong, and what comes \
         after it shows that it was durable, entries 7 to 8 are lost with it",
    ),
    case(
        "a record's header was damaged after a later one was synced",
        || flip(usual(), &segment(3), 140),
        "log-00000000000000000003.wal is damaged at byte 128: the checksum of a record's header is wrong, and what comes \
         after it shows that it was durable, entries 7 to 8 are lost with it",
    ),
    case(
        "a record was zeroed after a later one was synced",
        || zero(usual(), &segment(3), 128, 368),
        "log-00000000000000000003.wal is damaged at byte 128: zeroes stand where a record should be, and what comes after it \
         shows that it was durable, entries 7 to 8 are lost with it",
    ),
    case(
        "a record in a middle segment was damaged",
        || flip(usual(), &segment(2), 400),
        "log-00000000000000000002.wal is damaged at byte 368: the checksum of a record's payload is wrong, and what comes \
         after it shows that it was durable, entries 5 to 6 are lost with it",
    ),
    case(
        "the last entry of a middle segment and its seal were zeroed",
        || zero(usual(), &segment(2), 608, 1024),
        "log-00000000000000000002.wal is damaged at byte 608: zeroes stand where a record should be, and what comes after it \
         shows that it was durable, entry 6 is lost with it",
    ),
    case(
        "the hard state in the first segment was damaged",
        || flip(usual(), &segment(1), 160),
        "log-00000000000000000001.wal is damaged at byte 128: the checksum of a record's payload is wrong, and what comes \
         after it shows that it was durable, entries 1 to 3 are lost with it",
    ),
    case(
        "the seal of a middle segment was damaged",
        || flip(usual(), &segment(2), 860),
        "log-00000000000000000002.wal is damaged at byte 848: the checksum of a record's header is wrong, and what comes \
         after it shows that it was durable",
    ),
    case(
        "the padding behind a record was damaged: it means nothing",
        || flip(usual(), &segment(1), 900 + 60),
        "entries 1 to 8, commit 0",
    ),
    case(
        "a segment's magic was damaged",
        || flip(usual(), &segment(2), 0),
        "log-00000000000000000002.wal begins with [42, 4f, 4e, 56, 4f, 59, 57, 4c] instead of [43, 4f, 4e, 56, 4f, 59, 57, 4c]: \
         it is no log segment of Convoy's, or it is damaged",
    ),
    case(
        "a segment is of a later release",
        || edit(usual(), &segment(3), |bytes| bytes[8] = 2),
        "log-00000000000000000003.wal has format version 2 and this release reads version 1",
    ),
    case(
        "a segment's header was damaged",
        || flip(usual(), &segment(2), 50),
        "log-00000000000000000002.wal is damaged at byte 0: the checksum of the segment's header is wrong",
    ),
    case(
        "the newest segment's header was damaged",
        || flip(usual(), &segment(3), 90),
        "log-00000000000000000003.wal is damaged at byte 0: the checksum of the segment's header is wrong",
    ),
    case(
        "a segment was cut at its last record",
        || cut(usual(), &segment(3), 608),
        "log-00000000000000000003.wal is 608 bytes long and should be 1024: it was cut or extended from outside",
    ),
    case(
        "a segment was cut in its header",
        || cut(usual(), &segment(1), 100),
        "log-00000000000000000001.wal is 100 bytes long and should be 128: it was cut or extended from outside",
    ),
    case(
        "a segment is empty",
        || cut(usual(), &segment(3), 0),
        "log-00000000000000000003.wal is 0 bytes long and should be 128: it was cut or extended from outside",
    ),
    case(
        "a segment is one byte too long",
        || cut(usual(), &segment(2), 1025),
        "log-00000000000000000002.wal is 1025 bytes long and should be 1024: it was cut or extended from outside",
    ),
    case(
        "the first segment is missing",
        || without(usual(), &[segment(1)]),
        "log-00000000000000000001.wal is missing, entries 1 to 3 are lost with it",
    ),
    case(
        "a middle segment is missing",
        || without(usual(), &[segment(2)]),
        "log-00000000000000000002.wal is missing, entries 1 to 6 are lost with it",
    ),
    case(
        "the last segment is missing",
        || without(usual(), &[segment(3)]),
        "log-00000000000000000003.wal is missing",
    ),
    case(
        "all segments are missing and a snapshot is there",
        || without(with_snapshots(), &[segment(1), segment(2), segment(3)]),
        "the log (log-*.wal) is missing",
    ),
    case(
        "all segments are missing and the reserve is there",
        || {
            let disk = SimulatedDisk::new(1);
            let limits = JournalLimits {
                reserve_bytes: 512,
                ..LIMITS
            };
            initialised_with(&disk, limits);
            without(disk, &[segment(1)])
        },
        "the log (log-*.wal) is missing",
    ),
    case(
        "a segment was renamed",
        || {
            let disk = usual();
            disk.put(&segment(4), &disk.contents(&segment(1)).unwrap());
            without(disk, &[])
        },
        "log-00000000000000000004.wal is damaged at byte 16: it says it is log-00000000000000000001.wal: it was renamed",
    ),
    case(
        "a segment was swapped with another replica's",
        || with_file_of(usual(), &of_another_replica(), &segment(2)),
        "log-00000000000000000002.wal is damaged at byte 32: it belongs to another replica than the segment before",
    ),
    case(
        "a segment was put back from an older copy",
        || with_file_of(usual(), &rolling(), &segment(2)),
        "log-00000000000000000002.wal is damaged at byte 848: zeroes stand where a record should be, and what comes after it \
         shows that it was durable",
    ),
    case(
        "a segment was put back from another history",
        || {
            let other = SimulatedDisk::new(1);
            let mut log = initialised(&other);
            log.append(Some(hard_state(1, 3, 0)), &[entry(1, 1)], true)
                .unwrap();
            fill(&mut log, 2, 8, 1);
            with_file_of(usual(), &other, &segment(1))
        },
        "log-00000000000000000002.wal is damaged at byte 104: it does not follow on the segment before as that one ends",
    ),
    case(
        "files of others lie in the folder",
        || {
            let disk = usual();
            disk.put("notes.txt", b"");
            disk.put("log-3.wal", b"");
            disk
        },
        "entries 1 to 8, commit 0",
    ),
];
