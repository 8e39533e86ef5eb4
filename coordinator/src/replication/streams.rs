//! Whose streams come in: what the end of one says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use convoy_common::limits::MAX_COORDINATORS;
use convoy_consensus::ReplicaId;

/// The newest stream of each sender that has one: the end of an older one says nothing about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Arc<Mutex<OpenStreams>>);

#[derive(Debug, Default)]
struct OpenStreams {
    opened: u64,
    newest: BTreeMap<Sender, u64>,
}

/// Who sends: a replica, and the folder that it says it runs on. Another that claims its id has another folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sender {
    pub(super) replica: ReplicaId,
    pub(super) birth: u64,
}

/// A stream whose sender is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub(super) from: Sender,
    number: u64,
}

impl Streams {
    /// None if there are streams of as many others as a cluster can have: this one is served, and its end means nothing.
    pub(super) fn open(&self, from: Sender) -> Option<Stream> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = streams.newest.len() < MAX_COORDINATORS;
        if !has_room && !streams.newest.contains_key(&from) {
            return None;
        }
        streams.opened += 1;
        let number = streams.opened;
        streams.newest.insert(from, number);
        Some(Stream { from, number })
    }

    /// Whether nothing comes from its sender any more.
    pub(super) fn close(&self, stream: Stream) -> bool {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newest = streams.newest.get(&stream.from) == Some(&stream.number);
        if is_newest {
            streams.newest.remove(&stream.from);
        }
        is_newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(id: u64) -> Sender {
        Sender {
            replica: ReplicaId(id),
            birth: 7,
        }
    }

    #[test]
    fn only_the_end_of_the_newest_stream_says_that_nothing_comes_any_more() {
        let streams = Streams::default();
        let old = streams.open(sender(2)).unwrap();
        let new = streams.open(sender(2)).unwrap();
        assert!(!streams.close(old));
        assert!(streams.close(new));
        let next = streams.open(sender(2)).unwrap();
        assert!(!streams.close(old), "nor of one that was replaced before");
        assert!(streams.close(next));
    }

    #[test]
    fn streams_of_more_replicas_than_a_cluster_has_are_not_kept() {
        let streams = Streams::default();
        let most = MAX_COORDINATORS as u64;
        let first = streams.open(sender(1)).unwrap();
        assert!((2..=most).all(|id| streams.open(sender(id)).is_some()));
        assert!(streams.open(sender(most + 1)).is_none());
        assert!(streams.close(first));
        assert!(streams.open(sender(most + 1)).is_some());
    }

    #[test]
    fn stream_of_another_folder_does_not_take_the_place_of_its_ids_own() {
        let streams = Streams::default();
        let own = streams.open(sender(2)).unwrap();
        let claimed = Sender {
            birth: 8,
            ..sender(2)
        };
        let claimed = streams.open(claimed).unwrap();
        assert!(streams.close(claimed));
        assert!(streams.close(own), "it is still the newest of its folder");
    }
}
