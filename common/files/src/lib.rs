//! Files that appear whole or not at all: no temporary name is left behind, whatever is killed.
//!
//! A file is written without a name (`O_TMPFILE`), made durable, and only then linked to its path; a process that dies
//! on the way leaves nothing. File systems that can't do that get a hidden temporary name, removed again on every error;
//! of a process that was killed, by whoever writes into the folder next.
//!
//! **Invariant:** when a function returns `Ok` for a file that it created or replaced, the bytes and the name are on the disk
//! (`fsync` of file and folder). What goes to a device, a pipe or an open descriptor was handed to the kernel, no more:
//! an error on the way may leave a part of it there.

mod error;
mod folder;
mod stream;
mod target;
mod temporary;
mod unfinished;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

pub use error::FileError;
pub use folder::{ensure_folder, probe_writable};
pub use target::{probe_replaceable, replaced_file};

use folder::Folder;
use stream::Stream;
use target::Target;
use unfinished::Unfinished;

/// Tensors are written in slices of many kilobytes; this keeps headers and small tensors from costing a call each.
const WRITE_BUFFER_BYTES: usize = 256 * 1024;

/// What [`create_new`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The file is ours.
    New,
    /// A file of that name was there before, or came first; it is untouched.
    AlreadyThere,
}

/// Creates `path` with what `write` writes, mode 0644, unless the name is taken: of any number of concurrent callers
/// exactly one gets [`Created::New`]. The folder must exist (see [`ensure_folder`]).
///
/// # Errors
/// If the folder can't be opened or `write` or any step of making the file durable fails; no file is left then.
pub fn create_new(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<Created, FileError> {
    let folder = Folder::of(path)?;
    // Saves writing what would be thrown away; the link below decides all the same.
    if folder.has(path)? {
        // Whoever created it may not have come that far.
        folder.sync()?;
        return Ok(Created::AlreadyThere);
    }
    let mut file = Unfinished::in_folder(&folder, path)?;
    fill(&mut file, path, write)?;
    let created = file.publish_new(path)?;
    folder.sync()?;
    Ok(created)
}

/// Puts what `write` writes in the place of `path`, mode 0644: a reader sees the old file or the new one, never a mixture
/// and never none. The folder must exist (see [`ensure_folder`]). A symbolic link stays and its target is replaced; a
/// device or a pipe stays too and is written to, as a shell's `>` does. So is what a process has open, named by its
/// descriptor (`/dev/stdout`, `/dev/fd/3`): a file gets the bytes at its end.
///
/// # Errors
/// As [`create_new`]; the old file is untouched then. If `path` is a socket, or nobody reads from a pipe.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    match Target::of(path)? {
        Target::Stream(stream) => write_through(stream, path, write),
        Target::File(path) => replace_file(&path, write),
    }
}

fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let folder = Folder::of(path)?;
    let mut file = Unfinished::in_folder(&folder, path)?;
    fill(&mut file, path, write)?;
    file.publish_over(path)?;
    folder.sync()
}

fn write_through(
    stream: Stream,
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut writer = BufWriter::with_capacity(WRITE_BUFFER_BYTES, stream.open(path)?);
    write(&mut writer)
        .and_then(|()| writer.flush())
        .map_err(|source| FileError::new("write", path, source))
}

fn fill(
    file: &mut Unfinished<'_>,
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let handle = file
        .file()
        .try_clone()
        .map_err(|source| FileError::new("write", path, source))?;
    let mut writer = BufWriter::with_capacity(WRITE_BUFFER_BYTES, handle);
    write(&mut writer)
        .and_then(|()| writer.flush())
        .and_then(|()| writer.get_ref().sync_all())
        .map_err(|source| FileError::new("write", path, source))
}
