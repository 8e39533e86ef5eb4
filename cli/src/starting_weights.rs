//! The file of `model.init`, as far as it can be judged without building the network.

use anyhow::Context;
use convoy_checkpoint::WeightsFile;
use convoy_common::spec::ModelSpec;

use crate::words::count;

/// Opens the file, if the spec names one, and says in one line what will be taken from it. Whether each tensor fits the
/// network is left to the workers.
pub(crate) fn check(model: &ModelSpec) -> anyhow::Result<Option<String>> {
    let Some(path) = &model.init else {
        return Ok(None);
    };
    let file = WeightsFile::open(path).context("model.init can't be used")?;
    let tensors = count(file.tensors().count() as u64, "tensor");
    let mut line = format!("weights: start from {}, {tensors}", path.display());
    let head = file.tensor(&format!("{}.weight", model.name.head()));
    let classes = head.and_then(|head| head.shape.first().copied());
    if let Some(classes) = classes.filter(|classes| *classes != model.classes as usize) {
        line += &format!(
            "; the last layer starts anew, as the file has {classes} classes and model.classes is {}",
            model.classes
        );
    }
    Ok(Some(line))
}
