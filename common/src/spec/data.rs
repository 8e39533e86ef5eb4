//! `[data]`: the dataset.
//!
//! The table is flat, and which keys it has depends on `format`. [`DataTable`] is that table; its JSON schema says which
//! keys go with which format, so that the shape check reports what is missing or misplaced with its place in the file.
//! [`DataSpec`] is what such a table means: files that no format has can't be written down.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use garde::{Report, Validate};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::document::file_path;

/// The dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "DataTable", into = "DataTable")]
pub struct DataSpec {
    /// The files and how they are laid out.
    pub files: DataFiles,
    /// Subtracted from each channel after scaling to 0..1.
    pub mean: Vec<f32>,
    /// Divides each channel afterwards.
    pub std: Vec<f32>,
    /// Random changes to training images.
    pub augment: AugmentSpec,
}

/// The files of a dataset, by format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataFiles {
    /// [`DataFormat::Idx`].
    Idx(IdxPaths),
    /// [`DataFormat::Cifar10`].
    Cifar10 {
        /// Holds `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`.
        folder: PathBuf,
    },
    /// [`DataFormat::Cifar100`].
    Cifar100 {
        /// Holds `train.bin` and `test.bin`.
        folder: PathBuf,
    },
}

/// The four files of an IDX dataset, each plain or `.gz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdxPaths {
    /// Training images.
    pub train_images: PathBuf,
    /// Training labels.
    pub train_labels: PathBuf,
    /// Test images.
    pub test_images: PathBuf,
    /// Test labels.
    pub test_labels: PathBuf,
}

impl DataFiles {
    /// Every path, to be changed in place.
    pub(super) fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Idx(paths) => vec![
                &mut paths.train_images,
                &mut paths.train_labels,
                &mut paths.test_images,
                &mut paths.test_labels,
            ],
            Self::Cifar10 { folder } | Self::Cifar100 { folder } => vec![folder],
        }
    }
}

/// `[data]` as it is written.
#[derive(Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(transform = keys_by_format)]
struct DataTable {
    /// Format of the files; the keys that name them depend on it.
    #[garde(skip)]
    format: DataFormat,
    /// Folder that the dataset's archive unpacks to.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(file_path)))]
    folder: Option<PathBuf>,
    /// Training images. A `.gz` file is decompressed once, beside itself.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(file_path)))]
    train_images: Option<PathBuf>,
    /// Training labels.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(file_path)))]
    train_labels: Option<PathBuf>,
    /// Test images.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(file_path)))]
    test_images: Option<PathBuf>,
    /// Test labels.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(file_path)))]
    test_labels: Option<PathBuf>,
    /// Subtracted from each channel after scaling to 0..1.
    #[garde(length(min = 1, max = 4), inner(range(min = 0.0, max = 1.0)))]
    mean: Vec<f32>,
    /// Divides each channel afterwards.
    #[garde(length(min = 1, max = 4), inner(range(min = 0.001, max = 10.0)))]
    std: Vec<f32>,
    /// Random changes to training images.
    #[serde(default)]
    #[garde(dive)]
    augment: AugmentSpec,
}

/// How the files of a dataset are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataFormat {
    /// The IDX files of MNIST and its kin, plain or `.gz`.
    Idx,
    /// The binary version of CIFAR-10.
    Cifar10,
    /// The binary version of CIFAR-100, with its 100 fine labels.
    Cifar100,
}

impl DataFormat {
    const ALL: [Self; 3] = [Self::Idx, Self::Cifar10, Self::Cifar100];

    /// As a spec names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idx => "idx",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
        }
    }

    /// The keys that name the files: all of them are needed, and those of other formats are refused.
    fn file_keys(self) -> &'static [&'static str] {
        match self {
            Self::Idx => &["train_images", "train_labels", "test_images", "test_labels"],
            Self::Cifar10 | Self::Cifar100 => &["folder"],
        }
    }
}

/// Adds to the table's schema, for each format, which keys it needs and which it must not have.
fn keys_by_format(schema: &mut Schema) {
    let case = |format: DataFormat| {
        let own = format.file_keys();
        let others = DataFormat::ALL.iter().flat_map(|other| other.file_keys());
        let refused: Map<String, Value> = others
            .filter(|key| !own.contains(key))
            .map(|key| ((*key).to_owned(), Value::Bool(false)))
            .collect();
        json!({
            "if": { "properties": { "format": { "const": format.name() } }, "required": ["format"] },
            "then": { "required": own, "properties": refused },
        })
    };
    schema.insert(
        "allOf".to_owned(),
        DataFormat::ALL.into_iter().map(case).collect(),
    );
}

/// Why a table of right types means no dataset. Users see it for JSON only; for TOML the shape check says it with a place.
#[derive(Debug, thiserror::Error)]
enum WrongKeys {
    #[error("data.{key} is missing, which format {:?} needs", format.name())]
    Missing {
        key: &'static str,
        format: DataFormat,
    },
    #[error("data.{key} does not go with format {:?}", format.name())]
    Misplaced {
        key: &'static str,
        format: DataFormat,
    },
}

impl TryFrom<DataTable> for DataSpec {
    type Error = WrongKeys;

    fn try_from(table: DataTable) -> Result<Self, WrongKeys> {
        let format = table.format;
        let given = [
            ("folder", table.folder),
            ("train_images", table.train_images),
            ("train_labels", table.train_labels),
            ("test_images", table.test_images),
            ("test_labels", table.test_labels),
        ];
        let mut given: BTreeMap<&'static str, PathBuf> = given
            .into_iter()
            .filter_map(|(key, path)| Some((key, path?)))
            .collect();
        let mut take = |key| given.remove(key).ok_or(WrongKeys::Missing { key, format });
        let files = match format {
            DataFormat::Idx => DataFiles::Idx(IdxPaths {
                train_images: take("train_images")?,
                train_labels: take("train_labels")?,
                test_images: take("test_images")?,
                test_labels: take("test_labels")?,
            }),
            DataFormat::Cifar10 => DataFiles::Cifar10 {
                folder: take("folder")?,
            },
            DataFormat::Cifar100 => DataFiles::Cifar100 {
                folder: take("folder")?,
            },
        };
        match given.into_keys().next() {
            Some(key) => Err(WrongKeys::Misplaced { key, format }),
            None => Ok(Self {
                files,
                mean: table.mean,
                std: table.std,
                augment: table.augment,
            }),
        }
    }
}

impl From<DataSpec> for DataTable {
    fn from(spec: DataSpec) -> Self {
        let empty = Self {
            format: DataFormat::Idx,
            folder: None,
            train_images: None,
            train_labels: None,
            test_images: None,
            test_labels: None,
            mean: spec.mean,
            std: spec.std,
            augment: spec.augment,
        };
        match spec.files {
            DataFiles::Idx(paths) => Self {
                train_images: Some(paths.train_images),
                train_labels: Some(paths.train_labels),
                test_images: Some(paths.test_images),
                test_labels: Some(paths.test_labels),
                ..empty
            },
            DataFiles::Cifar10 { folder } => Self {
                format: DataFormat::Cifar10,
                folder: Some(folder),
                ..empty
            },
            DataFiles::Cifar100 { folder } => Self {
                format: DataFormat::Cifar100,
                folder: Some(folder),
                ..empty
            },
        }
    }
}

impl Validate for DataSpec {
    type Context = ();

    /// As the table, so that a report names the keys that a user wrote.
    fn validate_into(
        &self,
        context: &(),
        parent: &mut dyn FnMut() -> garde::Path,
        report: &mut Report,
    ) {
        DataTable::from(self.clone()).validate_into(context, parent, report);
    }
}

/// Random changes to training images, seeded by job seed, step and position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentSpec {
    /// Pad by so many black pixels on each side, then crop the old size at a random place.
    #[garde(range(max = 64))]
    pub crop_padding: u32,
    /// Mirror half of the images left to right.
    #[garde(skip)]
    pub flip: bool,
}
