//! A checkpoint on disk: verified, then read tensor by tensor.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use convoy_files::FileError;

use crate::container::{self, Entry};
use crate::error::CheckpointError;
use crate::manifest::Manifest;
use crate::slice::digest_of_file;
use crate::tensor::Dtype;

/// Compares length and BLAKE3 of every slice in `folder` with the manifest.
///
/// # Errors
/// For the first slice that is missing, has another length or another digest, naming both values.
pub fn verify(folder: &Path, manifest: &Manifest) -> Result<(), CheckpointError> {
    for slice in &manifest.slices {
        let path = folder.join(&slice.file);
        let found = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CheckpointError::SliceMissing {
                    path,
                    bytes: slice.bytes,
                });
            }
            Err(error) => return Err(FileError::new("read", &path, error).into()),
        };
        if found != slice.bytes {
            return Err(CheckpointError::SliceSize {
                path,
                found,
                expected: slice.bytes,
            });
        }
        let (_, found) = digest_of_file(&path)?;
        if found != slice.blake3 {
            return Err(CheckpointError::SliceDigest {
                path,
                found,
                expected: slice.blake3,
            });
        }
    }
    Ok(())
}

/// A tensor read from a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedTensor {
    /// Name as in the slices, `model.conv1.weight`.
    pub name: String,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Length of each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements, row-major, little endian.
    pub bytes: Vec<u8>,
}

/// A verified checkpoint, ready to be read.
pub struct StoredCheckpoint {
    folder: PathBuf,
    tensors: BTreeMap<String, Place>,
}

struct Place {
    slice: PathBuf,
    offset: u64,
    entry: Entry,
}

impl Place {
    fn bytes(&self) -> u64 {
        self.entry.end - self.entry.begin
    }
}

impl StoredCheckpoint {
    /// Verifies every slice in `folder` and reads the headers.
    ///
    /// # Errors
    /// As [`verify`]; if a slice is no safetensors file; if two hold a tensor of the same name.
    pub fn open(folder: &Path, manifest: &Manifest) -> Result<Self, CheckpointError> {
        verify(folder, manifest)?;
        let mut tensors = BTreeMap::new();
        for slice in &manifest.slices {
            let path = folder.join(&slice.file);
            let mut file =
                File::open(&path).map_err(|source| FileError::new("open", &path, source))?;
            let header = container::read_header(&mut file, &path)?;
            for entry in header.entries {
                let name = entry.name.clone();
                let place = Place {
                    slice: path.clone(),
                    offset: header.length + entry.begin,
                    entry,
                };
                if tensors.insert(name.clone(), place).is_some() {
                    return Err(CheckpointError::DuplicateTensor { name });
                }
            }
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            tensors,
        })
    }

    /// The checkpoint's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Names that start with `prefix`, ascending.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.tensors
            .keys()
            .map(String::as_str)
            .filter(move |name| name.starts_with(prefix))
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// If there is none of that name, or if its slice can't be read.
    pub fn read(&self, name: &str) -> Result<OwnedTensor, CheckpointError> {
        let place = self.place(name)?;
        let mut bytes = vec![0; usize::try_from(place.bytes()).unwrap_or(usize::MAX)];
        self.reader(name)?
            .read_exact(&mut bytes)
            .map_err(|source| FileError::new("read", &place.slice, source))?;
        let Entry { dtype, shape, .. } = &place.entry;
        Ok(OwnedTensor {
            name: name.to_owned(),
            dtype: *dtype,
            shape: shape.clone(),
            bytes,
        })
    }

    /// Reads all tensors whose names start with `prefix`, in the order of names.
    ///
    /// # Errors
    /// If a slice can't be read.
    pub fn read_all(&self, prefix: &str) -> Result<Vec<OwnedTensor>, CheckpointError> {
        self.names(prefix).map(|name| self.read(name)).collect()
    }

    pub(crate) fn entry(&self, name: &str) -> Result<&Entry, CheckpointError> {
        Ok(&self.place(name)?.entry)
    }

    /// A reader of exactly the bytes of a tensor.
    pub(crate) fn reader(&self, name: &str) -> Result<io::Take<File>, CheckpointError> {
        let place = self.place(name)?;
        let unreadable = |source| FileError::new("read", &place.slice, source);
        let mut file = File::open(&place.slice).map_err(unreadable)?;
        file.seek(SeekFrom::Start(place.offset))
            .map_err(unreadable)?;
        Ok(file.take(place.bytes()))
    }

    fn place(&self, name: &str) -> Result<&Place, CheckpointError> {
        let missing = || CheckpointError::NoTensor {
            folder: self.folder.clone(),
            name: name.to_owned(),
        };
        self.tensors.get(name).ok_or_else(missing)
    }
}
