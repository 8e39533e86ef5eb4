//! Reads segments one after the other and says what they amount to. Changes nothing on the disk.

use super::record::{self, Parsed, Record};
use super::segment::{self, Header};
use super::state::State;
use super::tail;
use crate::disk::{Disk, DiskFile};
use crate::error::JournalError;
use crate::types::Entry;

/// Segments that were read.
pub(super) struct Replayed<F> {
    pub(super) state: State,
    pub(super) entries: Vec<Entry>,
    /// All that were read, oldest first; the last one is written to.
    pub(super) files: Vec<F>,
    /// Where the last one ends.
    pub(super) newest: Newest,
    /// A segment that was created, but not used before the machine stopped: to be removed.
    pub(super) unused: Option<u64>,
}

/// The segment that is written to.
#[derive(Clone, Copy)]
pub(super) struct Newest {
    pub(super) header: Header,
    pub(super) seed: u32,
    pub(super) chain: u32,
    /// Where the next record goes.
    pub(super) offset: usize,
    /// Bytes from `offset` on that are to be zeroed: a torn tail.
    pub(super) torn_bytes: usize,
}

/// One segment in memory.
struct Content<F> {
    name: String,
    file: F,
    bytes: Vec<u8>,
    header: Header,
    seed: u32,
}

/// Where the records of a segment end.
struct End {
    offset: usize,
    chain: u32,
    why: Why,
}

enum Why {
    /// The segment is complete.
    Sealed,
    /// What comes there is no record, in words.
    NoRecord(&'static str),
}

/// Entries and state so far.
#[derive(Default)]
struct Log {
    state: State,
    entries: Vec<Entry>,
}

/// Reads the segments `run`, whose numbers follow on each other; there is at least one.
pub(super) fn replay<D: Disk>(disk: &D, run: &[u64]) -> Result<Replayed<D::File>, JournalError> {
    let mut log = Log::default();
    let mut files = Vec::new();
    let mut chain = None;
    let mut next = None;
    for (place, sequence) in run.iter().enumerate() {
        let content = match next.take() {
            Some(content) => content,
            None => Content::read(disk, *sequence)?,
        };
        log.begin(&content, chain)?;
        let end = log.read(&content)?;
        chain = Some(end.chain);
        let following = run.get(place + 1);
        let Why::NoRecord(why) = end.why else {
            if following.is_none() {
                return Err(JournalError::MissingSegment {
                    file: segment::name(sequence + 1),
                    entries: None,
                });
            }
            files.push(content.file);
            continue;
        };
        if let Some(following) = following {
            let unused = Content::read(disk, *following)?;
            if !unused.is_blank() || place + 2 < run.len() {
                let lost_to = unused.header.last.index;
                return Err(log.damaged(&content.name, end.offset, why, lost_to));
            }
        }
        let newest = log.newest(&content, &end, why)?;
        files.push(content.file);
        return Ok(Replayed {
            state: log.state,
            entries: log.entries,
            files,
            newest,
            unused: following.copied(),
        });
    }
    // Each turn of the loop but those before a last one returns.
    Err(JournalError::misuse("the log", "no segment was to be read"))
}

impl<F: DiskFile> Content<F> {
    fn read<D: Disk<File = F>>(disk: &D, sequence: u64) -> Result<Self, JournalError> {
        let name = segment::name(sequence);
        let failed = |source| JournalError::io("read", &name, source);
        let file = disk.open(&name).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        if length > crate::JournalLimits::MOST_SEGMENT_BYTES {
            return Err(JournalError::WrongLength {
                file: name,
                found_bytes: length,
                expected_bytes: crate::JournalLimits::MOST_SEGMENT_BYTES,
            });
        }
        let mut bytes = vec![0; crate::bytes::to_usize(length)];
        let count = file.read_at(0, &mut bytes).map_err(failed)?;
        bytes.truncate(count);
        let (header, seed) = Header::decode(&name, &bytes)?;
        Ok(Self {
            name,
            file,
            bytes,
            header,
            seed,
        })
    }

    /// Whether no record was ever written into it.
    fn is_blank(&self) -> bool {
        tail::is_zero(&self.bytes[segment::HEADER_BYTES..])
    }
}

impl Log {
    /// Takes a header; `chain` is the end of the segment before, unless this is the first that was read.
    fn begin<F>(&mut self, content: &Content<F>, chain: Option<u32>) -> Result<(), JournalError> {
        let header = &content.header;
        match chain {
            None => self.state = State::before(header),
            Some(chain) => self
                .state
                .accepts(header, chain)
                .map_err(|(offset, found)| JournalError::corrupt(&content.name, offset, found))?,
        }
        if header.restarts {
            self.entries.clear();
        }
        self.state.begin(header, segment::HEADER_BYTES);
        Ok(())
    }

    /// Takes the records of a segment.
    fn read<F>(&mut self, content: &Content<F>) -> Result<End, JournalError> {
        let mut offset = segment::HEADER_BYTES;
        let mut chain = content.seed;
        loop {
            let found = match record::parse(&content.bytes, offset, content.seed) {
                Parsed::Valid(found) if found.chain == chain => found,
                Parsed::Valid(_) => {
                    let why =
                        Why::NoRecord("a record follows on another one than the one before it");
                    return Ok(End { offset, chain, why });
                }
                Parsed::Zero => {
                    let why = Why::NoRecord("zeroes stand where a record should be");
                    return Ok(End { offset, chain, why });
                }
                Parsed::Bad(why) => {
                    let why = Why::NoRecord(why);
                    return Ok(End { offset, chain, why });
                }
            };
            self.apply(&found.record)
                .map_err(|reason| JournalError::corrupt(&content.name, offset as u64, reason))?;
            offset = found.end;
            chain = found.checksum;
            self.state.segments.set_used_bytes(offset as u64);
            if matches!(found.record, Record::Seal { .. }) {
                let why = Why::Sealed;
                return Ok(End { offset, chain, why });
            }
        }
    }

    fn apply(&mut self, record: &Record<'_>) -> Result<(), String> {
        self.state.apply(record)?;
        match record {
            Record::Entry { at, kind, data } => {
                self.keep_below(at.index);
                self.entries.push(Entry {
                    index: at.index,
                    term: at.term,
                    kind: *kind,
                    data: data.to_vec(),
                });
            }
            Record::Start { start, last } if *last > start.index => {
                let gone = |entry: &Entry| entry.index <= start.index;
                let count = self.entries.partition_point(gone);
                self.entries.drain(..count);
            }
            Record::Start { .. } => self.entries.clear(),
            Record::HardState(_) | Record::Seal { .. } => {}
        }
        Ok(())
    }

    fn keep_below(&mut self, index: u64) {
        let count = self.entries.partition_point(|entry| entry.index < index);
        self.entries.truncate(count);
    }

    /// The segment to write on, if what comes after its records can be a torn tail.
    fn newest<F>(
        &self,
        content: &Content<F>,
        end: &End,
        why: &'static str,
    ) -> Result<Newest, JournalError> {
        if let Some(proof) = tail::proof_of_damage(&content.bytes, end.offset, content.seed) {
            return Err(self.damaged(&content.name, end.offset, why, proof.last_index));
        }
        Ok(Newest {
            header: content.header,
            seed: content.seed,
            chain: end.chain,
            offset: end.offset,
            torn_bytes: tail::torn_bytes(&content.bytes, end.offset),
        })
    }

    fn damaged(&self, name: &str, offset: usize, found: &str, lost_to: u64) -> JournalError {
        let first = self.state.shape.last().index + 1;
        JournalError::Corrupt {
            file: name.to_owned(),
            offset: offset as u64,
            found: format!("{found}, and what comes after it shows that it was durable"),
            entries: (lost_to >= first).then_some((first, lost_to)),
        }
    }
}
