//! A safetensors file of weights, from wherever it comes: nothing in it is believed before it is checked.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use convoy_files::FileError;

use crate::container::{self, Entry};
use crate::error::CheckpointError;
use crate::stored::OwnedTensor;
use crate::tensor::Dtype;

/// The largest network, ResNet-152, takes 0.24 GB; twice that in f64. A larger file is not one of its kind.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// Headers take about 100 bytes a tensor: room for 160 thousand of them.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// What `torch.save` writes begins as every zip archive does.
const ZIP: [u8; 4] = *b"PK\x03\x04";

/// Name, type and shape of a tensor of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorDescription<'a> {
    /// As the file has it.
    pub name: &'a str,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Length of each dimension; empty for a scalar.
    pub shape: &'a [usize],
}

/// An open file whose header fits its length: every tensor it names is there in full.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    file: File,
    /// Bytes before the first tensor's.
    header_bytes: u64,
    /// In ascending order of names.
    entries: Vec<Entry>,
}

impl WeightsFile {
    /// Opens the file and checks its header.
    ///
    /// # Errors
    /// If it can't be read, is no safetensors file, is cut or longer than its header says, or is above the limits.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let unreadable = |source| FileError::new("read weights", path, source);
        let invalid = |reason: String| CheckpointError::WeightsFormat {
            path: path.to_path_buf(),
            reason,
        };
        // Before it is opened: opening a pipe would wait for its writer.
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(invalid("it is no file".to_owned()));
        }
        let bytes = metadata.len();
        if bytes > MAX_FILE_BYTES {
            return Err(invalid(format!(
                "it has {bytes} bytes, at most {MAX_FILE_BYTES} are read"
            )));
        }
        let mut file = File::open(path).map_err(unreadable)?;
        let mut begin = Vec::with_capacity(8);
        file.by_ref()
            .take(8)
            .read_to_end(&mut begin)
            .map_err(unreadable)?;
        check_begin(&begin).map_err(invalid)?;
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let header = container::read_header(&mut file, path).map_err(|error| {
            if let CheckpointError::SliceFormat { path, reason } = error {
                CheckpointError::WeightsFormat { path, reason }
            } else {
                error
            }
        })?;
        let mut entries = header.entries;
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self {
            path: path.to_path_buf(),
            file,
            header_bytes: header.length,
            entries,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tensors, in ascending order of names.
    pub fn tensors(&self) -> impl Iterator<Item = TensorDescription<'_>> {
        self.entries.iter().map(Entry::describe)
    }

    /// The tensor of that name, if there is one.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<TensorDescription<'_>> {
        self.entry(name).map(Entry::describe)
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// If there is none of that name, or if the file can't be read.
    pub fn read(&mut self, name: &str) -> Result<OwnedTensor, CheckpointError> {
        let entry = self
            .entry(name)
            .ok_or_else(|| CheckpointError::NoTensor {
                folder: self.path.clone(),
                name: name.to_owned(),
            })?
            .clone();
        let unreadable = |source| FileError::new("read weights", &self.path, source);
        // Not above the limit on the whole file.
        let mut bytes = vec![0; (entry.end - entry.begin) as usize];
        self.file
            .seek(SeekFrom::Start(self.header_bytes + entry.begin))
            .map_err(unreadable)?;
        self.file.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(OwnedTensor {
            name: entry.name,
            dtype: entry.dtype,
            shape: entry.shape,
            bytes,
        })
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        let found = self
            .entries
            .binary_search_by(|entry| entry.name.as_str().cmp(name));
        found.ok().map(|index| &self.entries[index])
    }
}

impl Entry {
    fn describe(&self) -> TensorDescription<'_> {
        TensorDescription {
            name: &self.name,
            dtype: self.dtype,
            shape: &self.shape,
        }
    }
}

/// What the first bytes tell before any memory is taken for a header.
fn check_begin(begin: &[u8]) -> Result<(), String> {
    if begin.starts_with(&ZIP) {
        return Err(
            "it was written by torch.save; write its state_dict() with safetensors.torch.save_file"
                .to_owned(),
        );
    }
    let Ok(length) = <[u8; 8]>::try_from(begin) else {
        return Err(format!(
            "it has {} bytes, fewer than any such file",
            begin.len()
        ));
    };
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES {
        return Err(format!(
            "it claims a header of {header_bytes} bytes, at most {MAX_HEADER_BYTES} are read"
        ));
    }
    Ok(())
}
