//! A shared map beside a plain one, and what clones share.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::{CHUNK_ENTRIES, SharedMap};

#[derive(Clone, Debug)]
enum Change {
    Insert(u16, u8),
    Alter(u16, u8),
    Remove(u16),
    /// Removes so many from this key on: what empties chunks.
    RemoveRun(u16, u16),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let key = || 0u16..600;
    let change = prop_oneof![
        8 => (key(), any::<u8>()).prop_map(|(key, value)| Change::Insert(key, value)),
        2 => (key(), any::<u8>()).prop_map(|(key, value)| Change::Alter(key, value)),
        4 => key().prop_map(Change::Remove),
        1 => (key(), 1u16..200).prop_map(|(key, run)| Change::RemoveRun(key, run)),
    ];
    prop::collection::vec(change, 0..800)
}

fn apply(map: &mut SharedMap<u16, u8>, plain: &mut BTreeMap<u16, u8>, change: &Change) {
    match *change {
        Change::Insert(key, value) => {
            map.insert(key, value);
            plain.insert(key, value);
        }
        Change::Alter(key, value) => {
            assert_eq!(map.get_mut(&key).is_some(), plain.contains_key(&key));
            map.get_mut(&key).into_iter().for_each(|old| *old = value);
            plain.get_mut(&key).into_iter().for_each(|old| *old = value);
        }
        Change::Remove(key) => assert_eq!(map.remove(&key), plain.remove(&key).is_some()),
        Change::RemoveRun(from, run) => {
            for key in from..from.saturating_add(run) {
                assert_eq!(map.remove(&key), plain.remove(&key).is_some());
            }
        }
    }
}

fn check(map: &SharedMap<u16, u8>, plain: &BTreeMap<u16, u8>) {
    assert_eq!(map.len(), plain.len());
    assert!(map.iter().eq(plain.iter()));
    assert!(map.values().rev().eq(plain.values().rev()));
    for key in (0..620).step_by(7) {
        assert_eq!(map.get(&key), plain.get(&key));
        assert!(map.starting_at(&key).eq(plain.range(key..)));
    }
    let lengths: Vec<usize> = map.chunks.iter().map(|chunk| chunk.len()).collect();
    let sound = |length: &usize| (1..=CHUNK_ENTRIES).contains(length);
    assert!(lengths.iter().all(sound), "chunks of {lengths:?} entries");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shared_map_holds_what_a_plain_one_does_and_clones_keep_theirs(changes in changes(), clone_at in 0usize..800) {
        let (mut map, mut plain) = (SharedMap::default(), BTreeMap::new());
        let mut kept = None;
        for (place, change) in changes.iter().enumerate() {
            if place == clone_at {
                kept = Some((map.clone(), plain.clone()));
            }
            apply(&mut map, &mut plain, change);
        }
        check(&map, &plain);
        if let Some((map, plain)) = kept {
            check(&map, &plain);
        }
        let read: SharedMap<u16, u8> = plain.into_iter().collect();
        prop_assert_eq!(read, map);
    }
}

#[test]
fn keys_that_come_in_order_leave_full_chunks() {
    let map: SharedMap<u32, u32> = (0..640).map(|key| (key, key)).collect();
    assert_eq!(map.chunks.len(), 10);
}

#[test]
fn clone_is_the_same_memory_until_one_side_changes_and_then_but_for_the_changed_value() {
    let mut map: SharedMap<u32, Vec<u8>> = (0..1_000).map(|key| (key, vec![0])).collect();
    let kept = map.clone();
    assert!(kept.is_same_memory(&map));
    map.get_mut(&500).unwrap().push(1);
    assert!(!kept.is_same_memory(&map));
    assert_eq!(map.shared_values(&kept), 999);
    assert_eq!(kept.get(&500), Some(&vec![0]));
    map.get_mut(&2_000);
    assert_eq!(
        map.shared_values(&kept),
        999,
        "nothing is copied for a key without a value"
    );
}
