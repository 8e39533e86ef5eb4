//! An ordered map whose clones share what neither changes: so a snapshot can be written while the state goes on.
//!
//! Entries lie in sorted chunks behind reference counts. A clone is one pointer; the first change after it copies the
//! list of chunks, the keys of one chunk and one value, and whatever is changed again while nobody else holds it is
//! changed in place.

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most entries of one chunk: with ten thousand entries, the list of chunks and one chunk are about as long.
const CHUNK_ENTRIES: usize = 64;

type Chunk<K, V> = Vec<(K, Arc<V>)>;

/// An ordered map that is cheap to clone.
///
/// **Invariant:** chunks are not empty, their keys ascend, and so do keys from chunk to chunk. How entries are divided
/// among chunks is not part of the value: it depends on the history.
pub struct SharedMap<K, V> {
    chunks: Arc<Vec<Arc<Chunk<K, V>>>>,
    len: usize,
}

impl<K: Ord, V> SharedMap<K, V> {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of `key`.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let place = find(chunk, key).ok()?;
        chunk.get(place).map(|(_, value)| &**value)
    }

    /// Whether `key` has a value.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// All entries by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let entries = self.chunks.iter().flat_map(|chunk| chunk.iter());
        entries.map(|(key, value)| (key, &**value))
    }

    /// All values by key.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The entries from `key` on.
    pub fn starting_at<'a, Q: Ord + ?Sized>(
        &'a self,
        key: &Q,
    ) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V, Q>
    where
        K: Borrow<Q>,
    {
        let first = self.chunk_of(key);
        let passed = self
            .chunks
            .get(first)
            .map_or(0, |chunk| find(chunk, key).unwrap_or_else(|next| next));
        let rest = self.chunks.iter().skip(first);
        let entries = rest.flat_map(|chunk| chunk.iter()).skip(passed);
        entries.map(|(key, value)| (key, &**value))
    }

    /// The chunk that holds `key`, or would.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let begins_before = |chunk: &Arc<Chunk<K, V>>| {
            let first = chunk.first();
            first.is_some_and(|(first, _)| first.borrow() <= key)
        };
        self.chunks.partition_point(begins_before).saturating_sub(1)
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// The value of `key`, to change it: copied first where a clone holds it too.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let index = self.chunk_of(key);
        // Looked up first: for a key without a value nothing is copied.
        let place = find(self.chunks.get(index)?, key).ok()?;
        let chunk = Arc::make_mut(Arc::make_mut(&mut self.chunks).get_mut(index)?);
        chunk.get_mut(place).map(|(_, value)| Arc::make_mut(value))
    }

    /// Gives `key` this value.
    pub fn insert(&mut self, key: K, value: V) {
        let index = self.chunk_of(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(index) else {
            chunks.push(Arc::new(vec![(key, Arc::new(value))]));
            self.len += 1;
            return;
        };
        let chunk = Arc::make_mut(chunk);
        match find(chunk, &key) {
            Ok(place) => chunk[place].1 = Arc::new(value),
            Err(place) => {
                chunk.insert(place, (key, Arc::new(value)));
                self.len += 1;
                if chunk.len() > CHUNK_ENTRIES {
                    // Keys that come in order leave full chunks behind.
                    let at_end = place == CHUNK_ENTRIES;
                    let kept = if at_end { place } else { CHUNK_ENTRIES / 2 };
                    let rest = chunk.split_off(kept);
                    chunks.insert(index + 1, Arc::new(rest));
                }
            }
        }
    }

    /// Takes `key` out; says whether it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        let index = self.chunk_of(key);
        let Some(Ok(place)) = self.chunks.get(index).map(|chunk| find(chunk, key)) else {
            return false;
        };
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[index]);
        chunk.remove(place);
        self.len -= 1;
        if chunk.len() < CHUNK_ENTRIES / 4 {
            merge(chunks, index);
        }
        true
    }
}

/// Where `key` is in the chunk, or where it belongs.
fn find<K, V, Q>(chunk: &Chunk<K, V>, key: &Q) -> Result<usize, usize>
where
    K: Borrow<Q>,
    Q: Ord + ?Sized,
{
    chunk.binary_search_by(|(known, _)| known.borrow().cmp(key))
}

/// Puts a small chunk together with a neighbour, if both fit into one; takes away an empty one.
fn merge<K: Clone, V>(chunks: &mut Vec<Arc<Chunk<K, V>>>, index: usize) {
    let left = if index + 1 < chunks.len() {
        index
    } else {
        index.saturating_sub(1)
    };
    let lengths = (chunks.get(left), chunks.get(left + 1));
    match lengths {
        (Some(one), Some(other)) if one.len() + other.len() <= CHUNK_ENTRIES => {
            let other = chunks.remove(left + 1);
            Arc::make_mut(&mut chunks[left]).extend(other.iter().cloned());
        }
        (Some(only), None) if only.is_empty() => chunks.clear(),
        (_, _) => {}
    }
}

// Derived, these would ask for more than they need of keys and values.

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self {
            chunks: Arc::clone(&self.chunks),
            len: self.len,
        }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self {
            chunks: Arc::default(),
            len: 0,
        }
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Ord + Serialize, V: Serialize> Serialize for SharedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // With its length, so that the entries can be streamed.
        let mut map = serializer.serialize_map(Some(self.len))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de, K, V> Deserialize<'de> for SharedMap<K, V>
where
    K: Ord + Clone + Deserialize<'de>,
    V: Clone + Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<K, V>(PhantomData<(K, V)>);

impl<'de, K, V> Visitor<'de> for Entries<K, V>
where
    K: Ord + Clone + Deserialize<'de>,
    V: Clone + Deserialize<'de>,
{
    type Value = SharedMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = SharedMap::default();
        while let Some((key, value)) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(map)
    }
}

#[cfg(test)]
impl<K: Ord, V> SharedMap<K, V> {
    /// Whether both are one memory altogether.
    pub(crate) fn is_same_memory(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks)
    }

    /// How many values both hold in one memory.
    pub(crate) fn shared_values(&self, other: &Self) -> usize {
        let others = other.chunks.iter().flat_map(|chunk| chunk.iter());
        let others: std::collections::BTreeSet<_> =
            others.map(|(_, value)| Arc::as_ptr(value)).collect();
        let own = self.chunks.iter().flat_map(|chunk| chunk.iter());
        own.filter(|(_, value)| others.contains(&Arc::as_ptr(value)))
            .count()
    }
}
