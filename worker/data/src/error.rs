//! What can be wrong with data: which file, which numbers, what to do.

use std::io;
use std::path::PathBuf;

use convoy_files::FileError;

use crate::dataset::ImageShape;

/// Why a dataset can't be opened or a batch can't be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// One file is wrong by itself.
    #[error("{key} = {path:?}: {problem}")]
    File {
        /// Where the job spec names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: FileProblem,
    },
    /// One file of a folder is wrong by itself.
    #[error("{path:?}, of data.folder: {problem}")]
    FileOfFolder {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: FileProblem,
    },
    /// There is no folder.
    #[error(
        "data.folder = {path:?}: there is no such folder; it must be the one that {archive} unpacks to, {unpacked}"
    )]
    NoFolder {
        /// As the job spec names it.
        path: PathBuf,
        /// Name of the dataset's archive.
        archive: &'static str,
        /// Name of the folder in it.
        unpacked: &'static str,
    },
    /// Two files that belong together don't.
    #[error(
        "{images_path:?} holds {images} images but {labels_path:?} holds {labels} labels: they do not belong together; \
         check the paths under [data]"
    )]
    CountsDiffer {
        /// File of the images.
        images_path: PathBuf,
        /// How many.
        images: u64,
        /// File of the labels.
        labels_path: PathBuf,
        /// How many.
        labels: u64,
    },
    /// The two splits have images of different shapes.
    #[error(
        "training images {train_path:?} are {train}, test images {test_path:?} are {test}: one model can't take both; \
         check the paths under [data]"
    )]
    SplitShapesDiffer {
        /// File of the training images.
        train_path: PathBuf,
        /// Their shape.
        train: ImageShape,
        /// File of the test images.
        test_path: PathBuf,
        /// Their shape.
        test: ImageShape,
    },
    /// `mean` or `std` has another number of values than the images have channels.
    #[error(
        "{key} has {values} values, but the images have {channels} channels: give one value per channel"
    )]
    ChannelsDiffer {
        /// `data.mean` or `data.std`.
        key: &'static str,
        /// How many values it has.
        values: usize,
        /// Channels of the images.
        channels: usize,
    },
    /// `mean` or `std` can't be computed with.
    #[error(
        "{key}[{channel}] = {value} can't be used: means must be finite, standard deviations finite and above 0"
    )]
    BadNormalisation {
        /// `data.mean` or `data.std`.
        key: &'static str,
        /// Which channel, from 0.
        channel: usize,
        /// Its value.
        value: f32,
    },
    /// A crop could miss the image altogether.
    #[error(
        "data.augment.crop_padding = {padding} is not smaller than the sides of the images ({shape}): \
         a crop could hold nothing of the image; lower it"
    )]
    CropMissesImage {
        /// Pixels of padding on each side.
        padding: u32,
        /// Shape of the images.
        shape: ImageShape,
    },
    /// The transform was made for images of another shape.
    #[error(
        "the transform is made for images of {transform}, the dataset holds images of {dataset}"
    )]
    TransformShapeDiffers {
        /// What the transform takes.
        transform: ImageShape,
        /// What the dataset has.
        dataset: ImageShape,
    },
    /// There is no such sample.
    #[error("sample {index} was asked for, but there are only {samples}")]
    NoSuchSample {
        /// The one asked for, from 0.
        index: usize,
        /// How many there are.
        samples: usize,
    },
    /// A request goes beyond the dataset.
    #[error("positions {start}..{end} were asked for, but the dataset has only {samples} samples")]
    NoSuchPositions {
        /// First position.
        start: u64,
        /// One past the last position.
        end: u64,
        /// How many samples there are.
        samples: u64,
    },
    /// The operating system gave no thread.
    #[error("cannot start data thread {index} of {threads}: {source}")]
    NoThread {
        /// Which, from 0.
        index: usize,
        /// How many were wanted.
        threads: usize,
        /// Why.
        source: io::Error,
    },
    /// Our own mistake, kept from becoming a hang.
    #[error(
        "a data thread panicked while {doing}: {message}; this is a bug in Convoy, please report it"
    )]
    Panicked {
        /// What it was doing.
        doing: String,
        /// What the panic said.
        message: String,
    },
    /// The pipeline was dropped while this batch was prepared; nobody is left to see it.
    #[error("the pipeline was stopped")]
    Stopped,
}

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It isn't there.
    #[error(
        "the file does not exist; run `cargo xtask quickstart` to fetch the dataset of the examples, or correct the path"
    )]
    Missing,
    /// It isn't in the folder of a dataset.
    #[error(
        "the file does not exist; data.folder must be the folder that {archive} unpacks to, {unpacked}"
    )]
    MissingInFolder {
        /// Name of the dataset's archive.
        archive: &'static str,
        /// Name of the folder in it.
        unpacked: &'static str,
    },
    /// A folder, a pipe, a device.
    #[error("this is no regular file; correct the path")]
    NotAFile,
    /// The operating system refused.
    #[error("cannot {operation}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// It can't be mapped.
    #[error("cannot map into memory: {0}")]
    Map(#[source] mmap_io::MmapIoError),
    /// The compressed stream is broken.
    #[error("cannot decompress: {0}; the file is damaged, fetch it again")]
    Gzip(#[source] io::Error),
    /// The decompressed file can't be written.
    #[error("cannot keep the decompressed file: {0}")]
    Decompressed(#[source] FileError),
    /// The file beside the `.gz` is not what is inside the `.gz`.
    #[error(
        "it should be the decompressed {gz:?}, but {difference}; delete it, it will be made again"
    )]
    Stale {
        /// The compressed file.
        gz: PathBuf,
        /// In which way it differs.
        difference: String,
    },
    /// Shorter than a header.
    #[error(
        "truncated: {actual} bytes are fewer than the {expected} of an IDX header; fetch it again"
    )]
    HeaderTruncated {
        /// Bytes of the header.
        expected: u64,
        /// Bytes that are there.
        actual: u64,
    },
    /// It doesn't start as IDX files do.
    #[error(
        "not an IDX file: it starts with {found:02x?}, not with 00 00 08{}",
        gzip_hint(found)
    )]
    NotIdx {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// IDX, but not bytes.
    #[error("its elements have IDX type {found:#04x}; only unsigned bytes (0x08) are supported")]
    ElementType {
        /// Third byte of the file.
        found: u8,
    },
    /// Labels where images should be, or the other way round.
    #[error(
        "it has {found} dimensions, but {content} have {expected}; are the paths of images and labels swapped?"
    )]
    Dimensions {
        /// "images" or "labels".
        content: &'static str,
        /// How many they have.
        expected: u8,
        /// Fourth byte of the file.
        found: u8,
    },
    /// Nothing in it.
    #[error("it holds no samples")]
    NoSamples,
    /// Images without pixels.
    #[error("its images are {height} x {width} pixels: both sides must be at least 1")]
    NoPixels {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
    },
    /// Larger than anything this format is used for.
    #[error(
        "its images are {height} x {width} pixels; sides above {limit} are refused: the header is probably damaged"
    )]
    SideTooLarge {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// The longest side allowed.
        limit: u32,
    },
    /// More than may be decompressed.
    #[error(
        "its header announces {bytes} bytes decompressed; at most {limit} are allowed {place}; decompress it yourself and name that file"
    )]
    TooLarge {
        /// Bytes of header and samples.
        bytes: u64,
        /// The most allowed.
        limit: u64,
        /// "on disk" or "in memory".
        place: &'static str,
    },
    /// Fewer bytes than the header promises.
    #[error("truncated: the header announces {expected} bytes, {actual} are there; fetch it again")]
    Truncated {
        /// Bytes of header and samples.
        expected: u64,
        /// Bytes that are there.
        actual: u64,
    },
    /// More bytes than the header promises.
    #[error(
        "the header announces {expected} bytes, but {actual} are there; the file is damaged, fetch it again"
    )]
    TrailingBytes {
        /// Bytes of header and samples.
        expected: u64,
        /// Bytes that are there, as far as they were read.
        actual: u64,
    },
    /// Not a whole number of records.
    #[error(
        "truncated: {expected} bytes would be {} records of {record_bytes} bytes, {actual} are there; fetch it again",
        expected / record_bytes
    )]
    PartOfRecord {
        /// Bytes of the records that are there, with the last one whole.
        expected: u64,
        /// Bytes that are there.
        actual: u64,
        /// Bytes of a record.
        record_bytes: u64,
    },
    /// A label that the format doesn't have.
    #[error(
        "label {label} of record {record}: {format} has labels 0 to {largest}; the file is damaged or of another format"
    )]
    NoSuchLabel {
        /// The first such record, from 0.
        record: usize,
        /// Its label.
        label: u8,
        /// Name of the format.
        format: &'static str,
        /// The largest label it has.
        largest: u32,
    },
    /// A label the model has no output for.
    #[error("label {label} of sample {index} is out of range: model.classes = {classes} allows 0 to {}; set model.classes to the number of classes in the data, or correct the file", classes.saturating_sub(1))]
    LabelOutOfRange {
        /// The first such sample, from 0.
        index: usize,
        /// Its label.
        label: u8,
        /// As the spec says it.
        classes: u32,
    },
}

impl FileProblem {
    /// The error that also names the file.
    pub(crate) fn of(self, file: &crate::storage::NamedFile<'_>) -> DataError {
        DataError::File {
            key: file.key,
            path: file.path.to_path_buf(),
            problem: self,
        }
    }
}

fn gzip_hint(start: &[u8; 4]) -> &'static str {
    if start.starts_with(&[0x1f, 0x8b]) {
        "; it is gzip: give it a name that ends in .gz"
    } else {
        ""
    }
}
