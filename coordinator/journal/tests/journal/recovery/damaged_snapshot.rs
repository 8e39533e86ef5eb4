//! Snapshot files that were damaged, cut, mixed up or lost.

use convoy_journal::Disk;

use super::scenes::{Case, case, compacted, cut, edit, flip, with_snapshots, without};
use crate::fixture::{snapshot, snapshot_file};

pub(super) const CASES: &[Case] = &[
    case(
        "the newest of two snapshots is damaged and the log reaches back to the other",
        || flip(with_snapshots(), &snapshot_file(6, 1), 100),
        "entries 1 to 8, commit 6, snapshot 3, set aside snapshot-00000000000000000006-00000000000000000001.bin",
    ),
    case(
        "both snapshots are damaged",
        || {
            let disk = flip(with_snapshots(), &snapshot_file(6, 1), 100);
            flip(disk, &snapshot_file(3, 1), 100)
        },
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 80: the checksum of a chunk is wrong",
    ),
    case(
        "the newest snapshot is damaged and the log begins after the other",
        || flip(compacted(), &snapshot_file(6, 1), 100),
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 80: the checksum of a chunk is wrong",
    ),
    case(
        "the only snapshot is damaged",
        || {
            let disk = flip(with_snapshots(), &snapshot_file(6, 1), 100);
            without(disk, &[snapshot_file(3, 1)])
        },
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 80: the checksum of a chunk is wrong",
    ),
    case(
        "the snapshot's header is damaged",
        || flip(compacted(), &snapshot_file(6, 1), 60),
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 0: the checksum of the snapshot's header \
         is wrong",
    ),
    case(
        "the length in the snapshot's header is damaged",
        || edit(compacted(), &snapshot_file(6, 1), |bytes| bytes[19] = 1),
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 16: its header would have 16777296 bytes, 56 \
         to 8248 are possible",
    ),
    case(
        "the snapshot's trailer is damaged",
        || flip(compacted(), &snapshot_file(6, 1), 120),
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 112: it does not end with a trailer: it was \
         cut, or its end is damaged",
    ),
    case(
        "the snapshot was cut",
        || cut(compacted(), &snapshot_file(6, 1), 130),
        "snapshot-00000000000000000006-00000000000000000001.bin is damaged at byte 106: it does not end with a trailer: it was \
         cut, or its end is damaged",
    ),
    case(
        "the snapshot was cut in its header",
        || cut(compacted(), &snapshot_file(6, 1), 79),
        "snapshot-00000000000000000006-00000000000000000001.bin is 79 bytes long and should be 80: it was cut or extended from \
         outside",
    ),
    case(
        "the snapshot is empty",
        || cut(compacted(), &snapshot_file(6, 1), 0),
        "snapshot-00000000000000000006-00000000000000000001.bin is 0 bytes long and should be 80: it was cut or extended from \
         outside",
    ),
    case(
        "bytes were taken out of the snapshot's middle",
        || {
            edit(compacted(), &snapshot_file(6, 1), |bytes| {
                drop(bytes.drain(90..98))
            })
        },
        "snapshot-00000000000000000006-00000000000000000001.bin is 128 bytes long and should be 136: it was cut or extended \
         from outside",
    ),
    case(
        "the snapshot is no snapshot",
        || {
            edit(compacted(), &snapshot_file(6, 1), |bytes| {
                bytes[..8].fill(0)
            })
        },
        "snapshot-00000000000000000006-00000000000000000001.bin begins with [00, 00, 00, 00, 00, 00, 00, 00] instead of [43, \
         4f, 4e, 56, 4f, 59, 53, 4e]: it is no snapshot of Convoy's, or it is damaged",
    ),
    case(
        "the snapshot is of a later release, and an older one is no replacement",
        || edit(with_snapshots(), &snapshot_file(6, 1), |bytes| bytes[8] = 2),
        "snapshot-00000000000000000006-00000000000000000001.bin has format version 2 and this release reads version 1",
    ),
    case(
        "the snapshot was renamed",
        || {
            let disk = compacted();
            disk.rename(&snapshot_file(6, 1), &snapshot_file(7, 1))
                .unwrap();
            disk
        },
        "snapshot-00000000000000000007-00000000000000000001.bin is damaged at byte 24: it says it ends with entry 6 of term 1: \
         it was renamed",
    ),
    case(
        "all snapshots are missing and the log was compacted",
        || without(compacted(), &[snapshot_file(3, 1), snapshot_file(6, 1)]),
        "the log begins after entry 6 and no snapshot that can be read reaches it (there is none)",
    ),
    case(
        "the newest snapshot is missing and the log was compacted",
        || without(compacted(), &[snapshot_file(6, 1)]),
        "the log begins after entry 6 and no snapshot that can be read reaches it (the newest is \
         snapshot-00000000000000000003-00000000000000000001.bin)",
    ),
    case(
        "the newest snapshot is missing and the log reaches back",
        || without(with_snapshots(), &[snapshot_file(6, 1)]),
        "entries 1 to 8, commit 6, snapshot 3",
    ),
    case(
        "a snapshot contradicts committed entries",
        || {
            let disk = without(with_snapshots(), &[snapshot_file(6, 1)]);
            snapshot(&disk, 5, 4);
            disk
        },
        "snapshot-00000000000000000005-00000000000000000004.bin is damaged at byte 0: it ends with entry 5 of term 4, and the \
         log has another committed entry there",
    ),
];
