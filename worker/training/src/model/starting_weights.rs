//! `model.init`: weights from a file in the place of drawn ones.
//!
//! The file must have exactly the model's tensors, as torchvision names them, but for two things: counters of training steps
//! (`num_batches_tracked`), which Convoy keeps itself, may be missing and are not read; and a last linear layer for another
//! number of classes stays as it was drawn. **Invariant:** nothing is written before the whole file is known to fit.

use std::fmt;
use std::path::{Path, PathBuf};

use convoy_checkpoint::{CheckpointError, Dtype, OwnedTensor, TensorDescription, WeightsFile};
use convoy_common::spec::ModelSpec;
use tch::{Kind, TchError, Tensor};

use super::registry::{NamedTensor, Registry};
use super::signed;

/// A file of another network differs everywhere; these are enough to tell which it is.
const SHOWN_DIFFERENCES: usize = 5;

/// What a model started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartingWeights {
    /// The file.
    pub file: PathBuf,
    /// Tensors that were taken from it.
    pub tensors: usize,
    /// The last layer, if it was left out.
    pub new_head: Option<NewHead>,
}

/// A last layer that did not come from the file because it is for another number of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHead {
    /// Its name.
    pub layer: &'static str,
    /// Classes in the file.
    pub found: usize,
    /// Classes of the model.
    pub classes: usize,
}

/// Weights that a model can't start from.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file can't be read or is no safetensors file.
    #[error("model.init: {0}")]
    File(#[from] CheckpointError),
    /// The file is of another network.
    #[error(
        "model.init: {} does not fit {model}: {}; {advice}", file.display(), Shown(differences)
    )]
    Mismatch {
        /// The file.
        file: PathBuf,
        /// The network, with its stem.
        model: String,
        /// All differences, in the order of the model.
        differences: Vec<Difference>,
        /// What to do.
        advice: String,
    },
    /// A weight is infinite or not a number.
    #[error(
        "model.init: {} holds values in {tensor} that are not finite: training that begins so cannot recover; take another file",
        file.display()
    )]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// libtorch refused.
    #[error("libtorch could not take over the weights of model.init: {0}")]
    Torch(#[from] TchError),
}

/// A tensor that is not the same in file and model; at least one of them has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// Type and shape in the file.
    pub found: Option<(Dtype, Vec<usize>)>,
    /// Shape in the model, which is of f32.
    pub needed: Option<Vec<usize>>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (&self.found, &self.needed) {
            (Some((dtype, found)), Some(needed)) => write!(
                f,
                "{name} is {} {found:?} in the file and F32 {needed:?} in the model",
                dtype.name()
            ),
            (Some((dtype, found)), None) => {
                write!(f, "{name}, {} {found:?}, is only in the file", dtype.name())
            }
            (None, Some(needed)) => write!(f, "{name}, F32 {needed:?}, is missing in the file"),
            (None, None) => write!(f, "{name} is in neither"),
        }
    }
}

struct Shown<'a>(&'a [Difference]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.0.iter().take(SHOWN_DIFFERENCES).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{difference}")?;
        }
        match self.0.len().saturating_sub(SHOWN_DIFFERENCES) {
            0 => Ok(()),
            1 => f.write_str("; and 1 more difference"),
            more => write!(f, "; and {more} more differences"),
        }
    }
}

/// Replaces what `registry` holds by the weights in `path`.
pub(super) fn load(
    registry: &Registry,
    spec: &ModelSpec,
    path: &Path,
) -> Result<StartingWeights, StartError> {
    let mut file = WeightsFile::open(path)?;
    let new_head = new_head(registry, spec, &file);
    let is_head = |name: &str| {
        let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
        new_head.as_ref().is_some_and(|head| head.layer == layer)
    };
    let wanted: Vec<&NamedTensor> = registry
        .parameters
        .iter()
        .chain(&registry.buffers)
        .filter(|named| !is_head(&named.name))
        .collect();
    let mut differences = wanting(&wanted, &file);
    differences.extend(extra(registry, &file));
    if !differences.is_empty() {
        return Err(StartError::Mismatch {
            file: path.to_path_buf(),
            model: format!("model.name {} with {} classes", spec.name, spec.classes),
            advice: advice(registry, &file),
            differences,
        });
    }
    for named in &wanted {
        let values = values(&file.read(&named.name)?)?;
        if !all_finite(&values)? {
            return Err(StartError::NotFinite {
                file: path.to_path_buf(),
                tensor: named.name.clone(),
            });
        }
        let mut place = named.tensor.shallow_clone();
        tch::no_grad(|| place.f_copy_(&values))?;
    }
    Ok(StartingWeights {
        file: path.to_path_buf(),
        tensors: wanted.len(),
        new_head,
    })
}

/// Whether the last layer of the file differs from the model's in the number of classes and in nothing else.
fn new_head(registry: &Registry, spec: &ModelSpec, file: &WeightsFile) -> Option<NewHead> {
    let layer = spec.name.head();
    let [weight, bias] = ["weight", "bias"].map(|of| format!("{layer}.{of}"));
    let own = registry.parameters.iter().find(|p| p.name == weight)?;
    let [classes, inputs] = shape_of(&own.tensor).try_into().ok()?;
    let (weight, bias) = (file.tensor(&weight)?, file.tensor(&bias)?);
    let fits = is_float(weight.dtype) && is_float(bias.dtype);
    match (weight.shape, bias.shape) {
        ([found, columns], [biases])
            if fits && columns == &inputs && biases == found && *found != classes =>
        {
            Some(NewHead {
                layer,
                found: *found,
                classes,
            })
        }
        _ => None,
    }
}

/// Tensors of the model that the file lacks or has otherwise.
fn wanting(wanted: &[&NamedTensor], file: &WeightsFile) -> Vec<Difference> {
    let mut differences = Vec::new();
    for named in wanted {
        let needed = shape_of(&named.tensor);
        let found = file.tensor(&named.name);
        if found.is_some_and(|found| is_float(found.dtype) && found.shape == needed) {
            continue;
        }
        differences.push(Difference {
            name: named.name.clone(),
            found: found.map(|found| (found.dtype, found.shape.to_vec())),
            needed: Some(needed),
        });
    }
    differences
}

/// Tensors of the file that the model does not have.
fn extra(registry: &Registry, file: &WeightsFile) -> Vec<Difference> {
    let is_extra =
        |found: &TensorDescription<'_>| registry.state().all(|entry| entry.name != found.name);
    let difference = |found: TensorDescription<'_>| Difference {
        name: found.name.to_owned(),
        found: Some((found.dtype, found.shape.to_vec())),
        needed: None,
    };
    file.tensors().filter(is_extra).map(difference).collect()
}

fn advice(registry: &Registry, file: &WeightsFile) -> String {
    // DataParallel puts `module.` before every name, Lightning `model.`.
    let first = file.tensors().next();
    let prefix = first.and_then(|found| Some(found.name.split_once('.')?.0));
    let is_prefixed = |prefix: &str| {
        let mut bare = file
            .tensors()
            .filter_map(|found| found.name.strip_prefix(prefix)?.strip_prefix('.'));
        registry
            .parameters
            .first()
            .is_some_and(|own| bare.any(|name| name == own.name))
    };
    match prefix {
        Some(prefix) if is_prefixed(prefix) => {
            format!("save it without \"{prefix}.\" before its names")
        }
        _ => "name the network that the file is of in model.name and model.stem, use images of as many channels, or leave \
              model.init out"
            .to_owned(),
    }
}

/// Types that become f32 without a loss.
fn is_float(dtype: Dtype) -> bool {
    kind_of(dtype).is_some()
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::Bf16 => Some(Kind::BFloat16),
        Dtype::F64 | Dtype::Bool | Dtype::U8 | Dtype::I32 | Dtype::I64 => None,
    }
}

fn values(read: &OwnedTensor) -> Result<Tensor, TchError> {
    let shape: Vec<i64> = read.shape.iter().map(|side| signed(*side)).collect();
    // Whatever has another type was a difference.
    let kind = kind_of(read.dtype).unwrap_or(Kind::Float);
    Tensor::f_from_data_size(&read.bytes, &shape, kind)?.f_to_kind(Kind::Float)
}

fn all_finite(values: &Tensor) -> Result<bool, TchError> {
    Ok(values.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0)
}

fn shape_of(tensor: &Tensor) -> Vec<usize> {
    let side = |side: &i64| usize::try_from(*side).unwrap_or(0);
    tensor.size().iter().map(side).collect()
}
