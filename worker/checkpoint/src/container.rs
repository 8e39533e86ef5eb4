//! The safetensors format, written so that equal tensors and metadata give equal bytes.
//!
//! The crate's own writer neither syncs nor streams to a writer of ours, and it writes metadata in the order of a hash
//! map. Reading and checking headers is left to the crate.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use convoy_files::FileError;
use safetensors::tensor::Metadata;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::error::CheckpointError;
use crate::tensor::{Dtype, TensorView};

/// A ResNet-152 needs 130 kB; a larger header than this is no header.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// Name, type and shape of a tensor, and where its bytes begin and end after the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

/// What stands before the tensors.
pub(crate) struct Header {
    /// Bytes before the first tensor's.
    pub(crate) length: u64,
    pub(crate) entries: Vec<Entry>,
}

/// Writes the header for `entries`, which lie one after another from 0 in their order. The tensors' bytes follow.
pub(crate) fn write_header(
    writer: &mut impl Write,
    metadata: &BTreeMap<String, String>,
    entries: &[Entry],
) -> io::Result<()> {
    let mut json = serde_json::to_vec(&HeaderJson { metadata, entries })?;
    // Tensors begin at a multiple of 8 bytes.
    json.resize(json.len().next_multiple_of(8), b' ');
    writer.write_all(&(json.len() as u64).to_le_bytes())?;
    writer.write_all(&json)
}

/// Writes a whole file of `tensors`, in their order.
pub(crate) fn write_tensors(
    writer: &mut impl Write,
    metadata: &BTreeMap<String, String>,
    tensors: &[TensorView<'_>],
) -> io::Result<()> {
    let sizes = tensors
        .iter()
        .map(|t| (t.name, t.dtype, t.shape, t.bytes.len() as u64));
    write_header(writer, metadata, &lay_out(sizes))?;
    tensors
        .iter()
        .try_for_each(|tensor| writer.write_all(tensor.bytes))
}

/// Entries that lie one after another.
pub(crate) fn lay_out<'a>(
    tensors: impl Iterator<Item = (&'a str, Dtype, &'a [usize], u64)>,
) -> Vec<Entry> {
    let mut begin = 0;
    tensors
        .map(|(name, dtype, shape, bytes)| {
            let entry = Entry {
                name: name.to_owned(),
                dtype,
                shape: shape.to_vec(),
                begin,
                end: begin + bytes,
            };
            begin = entry.end;
            entry
        })
        .collect()
}

/// Reads and checks the header at the begin of `file`.
pub(crate) fn read_header(file: &mut File, path: &Path) -> Result<Header, CheckpointError> {
    let unreadable = |source: io::Error| FileError::new("read", path, source);
    let invalid = |reason: String| CheckpointError::SliceFormat {
        path: path.to_path_buf(),
        reason,
    };
    let file_bytes = file.metadata().map_err(unreadable)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(unreadable)?;
    let json_bytes = u64::from_le_bytes(length);
    if json_bytes > MAX_HEADER_BYTES.min(file_bytes) {
        return Err(invalid(format!(
            "it claims a header of {json_bytes} bytes and has {file_bytes} bytes"
        )));
    }
    let mut json = vec![0; usize::try_from(json_bytes).unwrap_or(0)];
    file.read_exact(&mut json).map_err(unreadable)?;
    let metadata: Metadata =
        serde_json::from_slice(&json).map_err(|error| invalid(error.to_string()))?;
    let length = 8 + json_bytes;
    let expected = length + metadata.data_len() as u64;
    if expected != file_bytes {
        return Err(invalid(format!(
            "its header describes {expected} bytes and it has {file_bytes} bytes"
        )));
    }
    let entries = metadata
        .offset_keys()
        .into_iter()
        .map(|name| entry(name, &metadata))
        .collect::<Result<_, _>>();
    Ok(Header {
        length,
        entries: entries.map_err(invalid)?,
    })
}

fn entry(name: String, metadata: &Metadata) -> Result<Entry, String> {
    let info = metadata
        .info(&name)
        .ok_or_else(|| format!("tensor {name:?} has no description"))?;
    let spelt = info.dtype.to_string();
    let dtype = Dtype::from_name(&spelt)
        .ok_or_else(|| format!("tensor {name:?} has the unsupported type {spelt}"))?;
    let (begin, end) = info.data_offsets;
    Ok(Entry {
        name,
        dtype,
        shape: info.shape.clone(),
        begin: begin as u64,
        end: end as u64,
    })
}

struct HeaderJson<'a> {
    metadata: &'a BTreeMap<String, String>,
    entries: &'a [Entry],
}

#[derive(Serialize)]
struct EntryJson<'a> {
    dtype: &'a str,
    shape: &'a [usize],
    data_offsets: (u64, u64),
}

impl Serialize for HeaderJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len() + 1))?;
        map.serialize_entry("__metadata__", self.metadata)?;
        for Entry {
            name,
            dtype,
            shape,
            begin,
            end,
        } in self.entries
        {
            map.serialize_entry(
                name,
                &EntryJson {
                    dtype: dtype.name(),
                    shape,
                    data_offsets: (*begin, *end),
                },
            )?;
        }
        map.end()
    }
}
