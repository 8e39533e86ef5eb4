//! A `.gz` is decompressed once, to the same name without `.gz`, by whichever process comes first.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use convoy_files::{Created, FileError};
use flate2::Crc;
use flate2::bufread::MultiGzDecoder;

use super::{FileBytes, NamedFile, check_regular, map};
use crate::error::{DataError, FileProblem};
use crate::idx::{Content, Header, checked_header};

/// Most bytes a `.gz` may become on disk. DEFLATE shrinks up to 1,032 times, so that a file of a few megabytes can fill any
/// disk; the largest sets that people keep as one array (ImageNet at 64 x 64) have 16 GB.
pub const MAX_DECOMPRESSED_BYTES: u64 = 32 << 30;

/// Most bytes a `.gz` may become in memory, where every worker of a machine holds a copy of its own.
pub const MAX_IN_MEMORY_BYTES: u64 = 2 << 30;

/// Bytes at the end of a gzip member: CRC-32 and length modulo 2^32 (RFC 1952, section 2.3.1).
const TRAILER_BYTES: u64 = 8;

/// Large enough that calls cost nothing beside the decompression itself.
const CHUNK_BYTES: usize = 64 << 10;

/// The content of a `.gz` file.
pub(super) fn open_gz(gz: &NamedFile<'_>, content: Content) -> Result<FileBytes, DataError> {
    let plain = NamedFile {
        key: gz.key,
        path: &gz.path.with_extension(""),
    };
    if let Err(FileProblem::Missing) = check_regular(plain.path) {
        match decompress_beside(gz.path, plain.path, content).map_err(|problem| problem.of(gz))? {
            Beside::Written => return map(plain.path).map_err(|problem| problem.of(&plain)),
            Beside::AlreadyThere => {}
            Beside::NotWritable(error) => return in_memory(gz, content, &error),
        }
    }
    check_regular(plain.path).map_err(|problem| problem.of(&plain))?;
    let bytes = map(plain.path).map_err(|problem| problem.of(&plain))?;
    check_fresh(gz.path, &bytes, content).map_err(|problem| {
        let at_fault = if matches!(problem, FileProblem::Stale { .. }) {
            &plain
        } else {
            gz
        };
        problem.of(at_fault)
    })?;
    Ok(bytes)
}

enum Beside {
    Written,
    AlreadyThere,
    NotWritable(FileError),
}

fn decompress_beside(gz: &Path, plain: &Path, content: Content) -> Result<Beside, FileProblem> {
    // What was wrong inside the closure travels around the I/O error that `create_new` wants.
    let mut problem = None;
    let created = convoy_files::create_new(plain, |file| {
        decompress(gz, content, MAX_DECOMPRESSED_BYTES, "on disk", file).map_err(|failure| {
            match failure {
                Failure::Write(error) => error,
                Failure::Source(found) => {
                    problem = Some(found);
                    io::Error::other("see the problem of the source")
                }
            }
        })
    });
    match (created, problem) {
        (_, Some(problem)) => Err(problem),
        (Ok(Created::New), None) => {
            tracing::info!(from = %gz.display(), to = %plain.display(), "decompressed");
            Ok(Beside::Written)
        }
        (Ok(Created::AlreadyThere), None) => Ok(Beside::AlreadyThere),
        (Err(error), None) if is_not_writable(&error) => Ok(Beside::NotWritable(error)),
        (Err(error), None) => Err(FileProblem::Decompressed(error)),
    }
}

pub(super) fn is_not_writable(error: &FileError) -> bool {
    matches!(
        error.source.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

pub(super) fn in_memory(
    gz: &NamedFile<'_>,
    content: Content,
    why: &FileError,
) -> Result<FileBytes, DataError> {
    let mut bytes = Vec::new();
    match decompress(
        gz.path,
        content,
        MAX_IN_MEMORY_BYTES,
        "in memory",
        &mut bytes,
    ) {
        Ok(()) => {}
        Err(Failure::Source(problem)) => return Err(problem.of(gz)),
        Err(Failure::Write(source)) => {
            return Err(FileProblem::Io {
                operation: "decompress into memory",
                source,
            }
            .of(gz));
        }
    }
    tracing::info!(file = %gz.path.display(), bytes = bytes.len(), reason = %why, "decompressed into memory");
    Ok(FileBytes::InMemory(bytes))
}

/// Which end of the copy failed.
enum Failure {
    Source(FileProblem),
    Write(io::Error),
}

impl From<FileProblem> for Failure {
    fn from(problem: FileProblem) -> Self {
        Failure::Source(problem)
    }
}

/// Decompresses exactly what the header announces: a bomb is stopped before its first byte too many is written.
fn decompress(
    gz: &Path,
    content: Content,
    limit: u64,
    place: &'static str,
    target: &mut impl Write,
) -> Result<(), Failure> {
    let mut decoder = open_decoder(gz)?;
    let mut start = Vec::new();
    decoder
        .by_ref()
        .take(content.header_bytes())
        .read_to_end(&mut start)
        .map_err(FileProblem::Gzip)?;
    let header = Header::parse(&start, content)?;
    let bytes = header.file_bytes();
    if bytes > limit {
        return Err(FileProblem::TooLarge {
            bytes,
            limit,
            place,
        }
        .into());
    }
    target.write_all(&start).map_err(Failure::Write)?;
    // One byte more than announced is asked for, to notice that there is more.
    let mut rest = decoder.take(bytes - start.len() as u64 + 1);
    let mut actual = start.len() as u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = read_chunk(&mut rest, &mut chunk)?;
        actual += read.len() as u64;
        if read.is_empty() || actual > bytes {
            return Ok(header.check_length(actual)?);
        }
        target.write_all(read).map_err(Failure::Write)?;
    }
}

fn open_decoder(gz: &Path) -> Result<MultiGzDecoder<BufReader<File>>, FileProblem> {
    let file = File::open(gz).map_err(|source| FileProblem::Io {
        operation: "open",
        source,
    })?;
    Ok(MultiGzDecoder::new(BufReader::with_capacity(
        CHUNK_BYTES,
        file,
    )))
}

fn read_chunk<'a>(source: &mut impl Read, chunk: &'a mut [u8]) -> Result<&'a [u8], FileProblem> {
    loop {
        match source.read(chunk) {
            Ok(read) => return Ok(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FileProblem::Gzip(error)),
        }
    }
}

/// Checks that `plain` is what `gz` holds: another file of the same dimensions would train happily on the wrong images.
fn check_fresh(gz: &Path, plain: &FileBytes, content: Content) -> Result<(), FileProblem> {
    if let Err(problem) = checked_header(plain, content) {
        return Err(stale(gz, problem.to_string()));
    }
    let bytes = plain.slice(0, plain.len())?;
    let mut crc = Crc::new();
    crc.update(bytes);
    let found = Checksum {
        crc: crc.sum(),
        bytes: plain.len(),
    };
    if read_trailer(gz)? == (found.crc, found.bytes as u32) {
        return Ok(());
    }
    // The trailer speaks for the last member only; a file of several members is decompressed once more to be sure.
    let expected = decompressed_checksum(gz, found.bytes)?;
    if expected == found {
        return Ok(());
    }
    let difference = format!("it has {found}, inside the .gz are {expected}");
    Err(stale(gz, difference))
}

fn stale(gz: &Path, difference: String) -> FileProblem {
    FileProblem::Stale {
        gz: gz.to_path_buf(),
        difference,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Checksum {
    crc: u32,
    bytes: u64,
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes with CRC-32 {:08x}", self.bytes, self.crc)
    }
}

fn read_trailer(gz: &Path) -> Result<(u32, u32), FileProblem> {
    let read = || -> io::Result<[u8; TRAILER_BYTES as usize]> {
        let mut file = File::open(gz)?;
        file.seek(SeekFrom::End(-(TRAILER_BYTES as i64)))?;
        let mut trailer = [0; TRAILER_BYTES as usize];
        file.read_exact(&mut trailer)?;
        Ok(trailer)
    };
    let [a, b, c, d, e, f, g, h] = read().map_err(FileProblem::Gzip)?;
    Ok((
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    ))
}

/// The checksum of what `gz` holds, given up one byte beyond `most_bytes`: then it differs in any case.
fn decompressed_checksum(gz: &Path, most_bytes: u64) -> Result<Checksum, FileProblem> {
    let mut source = open_decoder(gz)?.take(most_bytes + 1);
    let mut crc = Crc::new();
    let mut bytes = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = read_chunk(&mut source, &mut chunk)?;
        if read.is_empty() {
            return Ok(Checksum {
                crc: crc.sum(),
                bytes,
            });
        }
        crc.update(read);
        bytes += read.len() as u64;
    }
}
