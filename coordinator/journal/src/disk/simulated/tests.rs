use super::*;

const SEEDS: u64 = 200;

fn written(disk: &SimulatedDisk, name: &str, bytes: &[u8]) -> SimulatedFile {
    let mut file = disk.create(name, 0).unwrap();
    file.write_at(0, bytes).unwrap();
    file
}

#[test]
fn what_was_synced_survives_every_crash() {
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        let mut file = written(&disk, "a", b"durable");
        file.sync().unwrap();
        disk.sync_folder().unwrap();
        file.write_at(7, b" and not").unwrap();
        disk.rename("a", "b").unwrap();
        let after = disk.crash();
        let name = after.list().unwrap().pop().unwrap();
        let bytes = after.contents(&name).unwrap();
        assert!(bytes.starts_with(b"durable"), "seed {seed}: {bytes:?}");
        assert!(disk.list().is_err() && file.sync().is_err());
    }
}

#[test]
fn crashes_lose_keep_and_tear_what_was_not_synced() {
    let mut kept = std::collections::BTreeSet::new();
    for seed in 0..SEEDS * 10 {
        let disk = SimulatedDisk::new(seed);
        let mut file = disk.create("a", 4).unwrap();
        file.sync().unwrap();
        disk.sync_folder().unwrap();
        file.write_at(0, b"abcd").unwrap();
        kept.insert(disk.crash().contents("a").unwrap());
    }
    for expected in [b"\0\0\0\0", b"abcd", b"ab\0\0", b"\0\0cd", b"a\0\0d"] {
        assert!(kept.contains(expected.as_slice()), "{expected:?}");
    }
}

#[test]
fn names_without_a_sync_of_the_folder_may_be_lost() {
    let mut lists = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        written(&disk, "a", b"old").sync().unwrap();
        disk.sync_folder().unwrap();
        written(&disk, "b", b"new").sync().unwrap();
        disk.remove("a").unwrap();
        lists.insert(disk.crash().list().unwrap());
    }
    assert_eq!(lists.len(), 4, "{lists:?}");
}

#[test]
fn same_seed_leaves_the_same() {
    let survivors = |seed| {
        let disk = SimulatedDisk::new(seed);
        written(&disk, "a", &[7; 100]);
        let after = disk.crash();
        (after.contents("a"), after.crash().rot())
    };
    for seed in 0..SEEDS {
        assert_eq!(survivors(seed), survivors(seed));
    }
}

#[test]
fn machine_stops_at_the_change_that_was_set() {
    let disk = SimulatedDisk::new(1);
    disk.crash_after(Some(2));
    let mut file = disk.create("a", 10).unwrap();
    file.write_at(0, b"1").unwrap();
    assert!(!disk.has_crashed());
    assert!(file.write_at(0, b"2").is_err());
    assert!(disk.has_crashed() && disk.open("a").is_err());
    assert_eq!(disk.changes(), 3);
}

#[test]
fn failed_sync_makes_nothing_durable_and_neither_does_the_next() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(seed);
        let mut file = disk.create("a", 4).unwrap();
        file.sync().unwrap();
        disk.sync_folder().unwrap();
        file.write_at(0, b"abcd").unwrap();
        disk.fail_sync_after(Some(0));
        assert!(file.sync().is_err());
        file.sync().unwrap();
        lost += u32::from(disk.crash().contents("a").unwrap() != b"abcd");
    }
    assert!(lost > 0);
}

#[test]
fn full_disk_refuses_to_grow_and_takes_what_has_its_place() {
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(Some(100));
    let mut file = disk.create("a", 90).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 10);
    let full = disk.create("b", 11).err().unwrap();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    assert!(file.write_at(85, &[1; 16]).is_err());
    file.write_at(0, &[1; 90]).unwrap();
    drop(file);
    disk.remove("a").unwrap();
    disk.sync_folder().unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 100);
}

#[test]
fn time_is_counted_and_nothing_waits() {
    let disk = SimulatedDisk::new(1);
    disk.set_latency(3, 50);
    let mut file = disk.create("a", 1).unwrap();
    file.write_at(0, b"1").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.busy_us(), 3 + 3 + 3 + 50);
    assert_eq!(disk.syncs(), 1);
}

#[test]
fn rot_flips_one_bit() {
    let disk = SimulatedDisk::new(9);
    disk.put("a", &[0; 32]);
    let (name, bit) = disk.rot().unwrap();
    let bytes = disk.contents(&name).unwrap();
    assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    disk.flip_bit(&name, bit);
    assert_eq!(disk.contents("a").unwrap(), [0; 32]);
}
