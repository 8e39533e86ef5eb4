//! Which folder each replica had when it was first heard of.
//!
//! A replica that lost its disk has forgotten what it voted for and acknowledged, so it must not come back under its
//! old id. Its folder's birth, a random number, gives it away: every replica keeps the births of the others in a file
//! and spreads them with its heartbeats.
//!
//! **Not covered:** a voter of a new cluster that is created a second time before any of the others ever heard of it
//! or of somebody who did. Nobody can tell that from a first start.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use convoy_journal::{Disk, DiskFile, JournalError};
use convoy_proto::raft::v1;
use prost::Message as _;

use crate::error::ReplicaError;

/// The file; it is also the mark of a finished creation.
pub(crate) const FILE: &str = "births.bin";
/// Its unfinished predecessor.
const UNFINISHED: &str = "births.tmp";
/// Ends with the format's version.
const MAGIC: [u8; 8] = *b"CVBIRTH1";
/// Magic, length of the payload, its checksum.
const HEADER_BYTES: usize = 16;
/// A file with more replicas than this is not ours.
const MOST_BYTES: u64 = 1 << 20;

/// The births that are known, this replica's included.
pub(crate) struct Births<D: Disk> {
    disk: Arc<D>,
    known: BTreeMap<u64, u64>,
}

impl<D: Disk> Births<D> {
    /// None if there is no file.
    pub(crate) fn open(disk: Arc<D>) -> Result<Option<Self>, ReplicaError> {
        let names = disk.list().map_err(|source| failed("list", source))?;
        if !names.iter().any(|name| name == FILE) {
            return Ok(None);
        }
        let bytes = read(&*disk).map_err(|source| failed("read", source))?;
        let births =
            parse(&bytes).map_err(|found| ReplicaError::BirthsDamaged { file: FILE, found })?;
        let known = births
            .births
            .iter()
            .map(|birth| (birth.replica, birth.birth));
        Ok(Some(Self {
            disk,
            known: known.collect(),
        }))
    }

    /// Writes the file with this replica's own birth.
    pub(crate) fn create(disk: Arc<D>, replica: u64, birth: u64) -> Result<(), ReplicaError> {
        let mut births = Self {
            disk,
            known: BTreeMap::new(),
        };
        births
            .learn(replica, birth)
            .map_err(|source| failed("write", source))
    }

    pub(crate) fn of(&self, replica: u64) -> Option<u64> {
        self.known.get(&replica).copied()
    }

    /// Keeps a birth that was not known; it is durable when this returns. A known one stays as it is.
    ///
    /// # Errors
    /// The birth is not known then. On a full disk nothing else is lost.
    pub(crate) fn learn(&mut self, replica: u64, birth: u64) -> io::Result<()> {
        if self.known.contains_key(&replica) {
            return Ok(());
        }
        self.known.insert(replica, birth);
        let payload = v1::Births {
            births: self.all().collect(),
        };
        let written = write(&*self.disk, &payload.encode_to_vec());
        if written.is_err() {
            self.known.remove(&replica);
        }
        written
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = v1::Birth> + '_ {
        let births = self.known.iter();
        births.map(|(&replica, &birth)| v1::Birth { replica, birth })
    }
}

fn failed(operation: &'static str, source: io::Error) -> ReplicaError {
    ReplicaError::Journal(JournalError::Io {
        operation,
        file: FILE.to_owned(),
        source,
    })
}

fn read<D: Disk>(disk: &D) -> io::Result<Vec<u8>> {
    let file = disk.open(FILE)?;
    let length = file.len()?.min(MOST_BYTES);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let mut filled = 0;
    while filled < bytes.len() {
        let read = file.read_at(filled as u64, &mut bytes[filled..])?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<v1::Births, String> {
    let Some((header, payload)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(format!(
            "{} bytes, a header has {HEADER_BYTES}",
            bytes.len()
        ));
    };
    let (magic, numbers) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(format!(
            "it begins with {magic:02x?} instead of {MAGIC:02x?}"
        ));
    }
    let (length, checksum) = numbers.split_at(4);
    let length = u32::from_le_bytes(length.try_into().unwrap_or_default());
    let checksum = u32::from_le_bytes(checksum.try_into().unwrap_or_default());
    if payload.len() != length as usize {
        return Err(format!(
            "{} bytes follow the header, not {length}",
            payload.len()
        ));
    }
    let found = crc32c::crc32c(payload);
    if found != checksum {
        return Err(format!("its checksum is {found:08x}, not {checksum:08x}"));
    }
    v1::Births::decode(payload).map_err(|error| error.to_string())
}

/// Whether the disk, or this user's share of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The error of a write after which nobody knows what is on the disk.
pub(crate) fn unknown(source: io::Error) -> JournalError {
    JournalError::Fatal {
        operation: "write",
        file: FILE.to_owned(),
        source,
    }
}

/// Appears whole or not at all.
fn write<D: Disk>(disk: &D, payload: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    if disk.list()?.iter().any(|name| name == UNFINISHED) {
        disk.remove(UNFINISHED)?;
    }
    let mut file = disk.create(UNFINISHED, 0)?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(UNFINISHED, FILE)?;
    disk.sync_folder()
}
