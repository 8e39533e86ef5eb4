//! Readers and writers that count, and keep the error that MessagePack's own errors would hide.

use std::io::{self, BufReader, BufWriter, Read, Write};

use super::CodecError;

/// MessagePack is written and read in pieces of a few bytes: they are put together to this many.
const BUFFER_BYTES: usize = 64 << 10;

/// Writes at most so many bytes.
pub(super) struct LimitedWriter<W: Write> {
    output: BufWriter<W>,
    left: u64,
    most: u64,
    failure: Option<Failure>,
}

/// Reads at most so many bytes.
pub(super) struct LimitedReader<R> {
    input: BufReader<R>,
    left: u64,
    most: u64,
    failure: Option<Failure>,
}

enum Failure {
    TooLarge,
    Io(io::Error),
}

impl Failure {
    fn into_error(self, what: &'static str, most: u64) -> CodecError {
        match self {
            Self::TooLarge => CodecError::TooLarge { what, most },
            Self::Io(source) => CodecError::Io { what, source },
        }
    }
}

impl<W: Write> LimitedWriter<W> {
    pub(super) fn new(output: W, most: u64) -> Self {
        Self {
            output: BufWriter::with_capacity(BUFFER_BYTES, output),
            left: most,
            most,
            failure: None,
        }
    }

    /// Writes out what is left in the buffer. What failed here comes before what followed from it.
    pub(super) fn finish(
        mut self,
        what: &'static str,
        written: Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure.into_error(what, self.most));
        }
        written?;
        self.output
            .flush()
            .map_err(|source| CodecError::Io { what, source })
    }

    fn fail(&mut self, failure: Failure) -> io::Error {
        let kind = match &failure {
            Failure::TooLarge => io::ErrorKind::FileTooLarge,
            Failure::Io(error) => error.kind(),
        };
        self.failure.get_or_insert(failure);
        kind.into()
    }
}

impl<W: Write> Write for LimitedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        if length > self.left {
            return Err(self.fail(Failure::TooLarge));
        }
        match self.output.write(bytes) {
            Ok(written) => {
                self.left -= written as u64;
                Ok(written)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.fail(Failure::Io(error))),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<R: Read> LimitedReader<R> {
    pub(super) fn new(input: R, most: u64) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            left: most,
            most,
            failure: None,
        }
    }

    /// What failed here comes before what followed from it.
    pub(super) fn finish<T>(
        self,
        what: &'static str,
        read: Result<T, CodecError>,
    ) -> Result<T, CodecError> {
        match self.failure {
            Some(failure) => Err(failure.into_error(what, self.most)),
            None => read,
        }
    }
}

impl<R: Read> Read for LimitedReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !bytes.is_empty() {
            self.failure = Some(Failure::TooLarge);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let most = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        match self.input.read(&mut bytes[..most]) {
            Ok(read) => {
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(Failure::Io(error));
                Err(kind.into())
            }
        }
    }
}
