//! The form in which commands, answers and the whole state are kept and sent: MessagePack with named fields.
//!
//! Fields that a build does not know are skipped, fields that were not there yet get their default, so that a field can be
//! added without a new format. Cases of an enum can't be skipped: a command that a build doesn't know stops it, and so a
//! new one waits for its cluster version ([`crate::version`]).
//!
//! Two equal states have the same bytes. In front stands what the bytes are and in which format:
//!
//! ```text
//! command, answer   kind (1 byte), format (1 byte), body
//! state             "CVYSTATE", format (u16, little endian), committed cluster version (u32, little endian), body
//! ```

mod stream;

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::Cluster;
use crate::command::{Answer, Envelope};
use crate::limits::{MAX_COMMAND_BYTES, MAX_SNAPSHOT_BYTES};
use crate::version::{BuildTooOld, ClusterVersion};

use stream::{LimitedReader, LimitedWriter};

/// The format of a command or an answer. Raised when the form of what is there changes, which golden files tell.
pub const COMMAND_FORMAT: u8 = 1;

/// The format of a state; see [`COMMAND_FORMAT`].
pub const SNAPSHOT_FORMAT: u16 = 1;

const COMMAND: u8 = b'C';
const ANSWER: u8 = b'A';
const STATE: &[u8; 8] = b"CVYSTATE";

/// Why something could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// It is larger than anything that is right.
    #[error("{what} has more than the {most} bytes that it may have")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// It is something else.
    #[error("these bytes are no {what}: they begin with {found:02x?}, not with {wanted:02x?}")]
    OfAnotherKind {
        /// What was expected.
        what: &'static str,
        /// Its first bytes.
        found: Vec<u8>,
        /// The first bytes that were expected.
        wanted: Vec<u8>,
    },
    /// It was written by another build.
    #[error(
        "{what} has format {found}, this build reads format {known}: start this replica with the build that wrote it"
    )]
    OtherFormat {
        /// What.
        what: &'static str,
        /// Its format.
        found: u16,
        /// The format that this build knows.
        known: u16,
    },
    /// The state needs a newer build.
    #[error(transparent)]
    BuildTooOld(#[from] BuildTooOld),
    /// It can't be understood.
    #[error("{what} can't be read: {source}; it is damaged, or of a newer build than this one")]
    Malformed {
        /// What.
        what: &'static str,
        /// Where it stopped making sense.
        source: rmp_serde::decode::Error,
    },
    /// Something follows it.
    #[error("something follows {what} that does not belong to it: it is damaged")]
    Trailing {
        /// What.
        what: &'static str,
    },
    /// It can't be written in this form: an error of ours.
    #[error("{what} can't be encoded: {source}")]
    Unencodable {
        /// What.
        what: &'static str,
        /// Why.
        source: rmp_serde::encode::Error,
    },
    /// The other side failed.
    #[error("{what} can't be read or written: {source}")]
    Io {
        /// What.
        what: &'static str,
        /// As the reader or writer says.
        source: io::Error,
    },
}

/// A command as it is kept in the log; at most [`MAX_COMMAND_BYTES`].
///
/// # Errors
/// If it is too large.
pub fn encode_command(envelope: &Envelope) -> Result<Vec<u8>, CodecError> {
    encode("a command", COMMAND, envelope)
}

/// A command from its bytes.
///
/// # Errors
/// If the bytes are no command that this build knows. When they were committed, the process must stop: to skip them would
/// make this replica differ from the others.
pub fn decode_command(bytes: &[u8]) -> Result<Envelope, CodecError> {
    decode("command", COMMAND, bytes)
}

/// What came of a command, to be sent to who waits for it; at most [`MAX_COMMAND_BYTES`].
///
/// # Errors
/// If it is too large.
pub fn encode_answer(answer: &Answer) -> Result<Vec<u8>, CodecError> {
    encode("an answer", ANSWER, answer)
}

/// An answer from its bytes.
///
/// # Errors
/// If the bytes are no answer that this build knows.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, CodecError> {
    decode("answer", ANSWER, bytes)
}

/// Writes the whole state, entry after entry; at most [`MAX_SNAPSHOT_BYTES`]. A clone of the state can be written on another
/// thread.
///
/// # Errors
/// If the writer fails, or the state is too large.
pub fn write_snapshot(cluster: &Cluster, output: impl Write) -> Result<(), CodecError> {
    let what = "the state";
    let mut output = LimitedWriter::new(output, MAX_SNAPSHOT_BYTES);
    let version = cluster.version().0;
    let head = [
        &STATE[..],
        &SNAPSHOT_FORMAT.to_le_bytes(),
        &version.to_le_bytes(),
    ];
    let written = output.write_all(&head.concat());
    let written = written
        .map_err(|source| CodecError::Io { what, source })
        .and_then(|()| write_body(what, &mut output, cluster));
    output.finish(what, written)
}

/// Reads a whole state, to the end of the input.
///
/// # Errors
/// If the reader fails, or the bytes are no state that this build knows.
pub fn read_snapshot(input: impl Read) -> Result<Cluster, CodecError> {
    let what = "state";
    let mut input = LimitedReader::new(input, MAX_SNAPSHOT_BYTES);
    let read = read_snapshot_from(what, &mut input);
    input.finish(what, read)
}

fn read_snapshot_from<R: Read>(
    what: &'static str,
    input: &mut LimitedReader<R>,
) -> Result<Cluster, CodecError> {
    let io_error = |source| CodecError::Io { what, source };
    let mut kind = [0; STATE.len()];
    let (mut format, mut version) = ([0; 2], [0; 4]);
    input.read_exact(&mut kind).map_err(io_error)?;
    check_kind(what, &kind, STATE)?;
    input.read_exact(&mut format).map_err(io_error)?;
    let (found, known) = (u16::from_le_bytes(format), SNAPSHOT_FORMAT);
    if found != known {
        return Err(CodecError::OtherFormat { what, found, known });
    }
    input.read_exact(&mut version).map_err(io_error)?;
    ClusterVersion(u32::from_le_bytes(version)).check_known()?;
    let cluster = read_body(what, &mut *input)?;
    // Read to its end also so that a reader that verifies checksums has seen all of them.
    match input.read(&mut [0]).map_err(io_error)? {
        0 => Ok(cluster),
        _more => Err(CodecError::Trailing { what }),
    }
}

fn encode<T: Serialize>(what: &'static str, kind: u8, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![kind, COMMAND_FORMAT];
    let mut output = LimitedWriter::new(&mut bytes, MAX_COMMAND_BYTES as u64);
    let written = write_body(what, &mut output, value);
    output.finish(what, written)?;
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(
    what: &'static str,
    kind: u8,
    bytes: &[u8],
) -> Result<T, CodecError> {
    let (head, mut body) = bytes.split_at(bytes.len().min(2));
    check_kind(what, head.get(..1).unwrap_or_default(), &[kind])?;
    let known = COMMAND_FORMAT.into();
    let found = head.get(1).map_or(0, |format| u16::from(*format));
    if found != known {
        return Err(CodecError::OtherFormat { what, found, known });
    }
    if body.len() > MAX_COMMAND_BYTES {
        let most = MAX_COMMAND_BYTES as u64;
        return Err(CodecError::TooLarge { what, most });
    }
    let value = read_body(what, &mut body)?;
    if !body.is_empty() {
        return Err(CodecError::Trailing { what });
    }
    Ok(value)
}

fn check_kind(what: &'static str, found: &[u8], wanted: &[u8]) -> Result<(), CodecError> {
    if found != wanted {
        let (found, wanted) = (found.to_vec(), wanted.to_vec());
        return Err(CodecError::OfAnotherKind {
            what,
            found,
            wanted,
        });
    }
    Ok(())
}

fn write_body<T: Serialize>(
    what: &'static str,
    output: &mut impl Write,
    value: &T,
) -> Result<(), CodecError> {
    let mut serializer = rmp_serde::Serializer::new(output).with_struct_map();
    value
        .serialize(&mut serializer)
        .map_err(|source| CodecError::Unencodable { what, source })
}

fn read_body<T: DeserializeOwned>(what: &'static str, input: impl Read) -> Result<T, CodecError> {
    rmp_serde::from_read(input).map_err(|source| CodecError::Malformed { what, source })
}
