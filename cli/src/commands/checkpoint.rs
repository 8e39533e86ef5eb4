//! `convoy checkpoint export` and `convoy checkpoint show`.

use std::path::Path;
use std::process::ExitCode;

use convoy_checkpoint::{Manifest, Overwrite, find_manifest, read_manifest, verify};
use convoy_output::answer;

use crate::arguments::{ExportArguments, ShowArguments};
use crate::display::table;
use crate::result_file;
use crate::words::{count, grouped};

/// Takes the model out of a checkpoint.
pub(crate) fn export(arguments: &ExportArguments) -> anyhow::Result<ExitCode> {
    let overwrite = if arguments.force {
        Overwrite::Replace
    } else {
        Overwrite::Refuse
    };
    if let Some(file) = &arguments.json {
        result_file::check("--json", file)?;
    }
    let report = convoy_checkpoint::export(&arguments.checkpoint, &arguments.out, overwrite)?;
    if let Some(file) = &arguments.json {
        result_file::write(file, &report)?;
    }
    answer(format_args!(
        "{}: {} with {}, {} bytes; job {} after {} ({}), SHA-256 of the weights {}",
        report.file.display(),
        count(report.tensors as u64, "tensor"),
        count(report.elements, "element"),
        grouped(report.bytes),
        report.job,
        count(report.step.0, "step"),
        count(u64::from(report.epoch.0), "epoch"),
        report.weights_sha256
    ));
    Ok(ExitCode::SUCCESS)
}

/// Shows a checkpoint; what is shown is true only if every hash was.
pub(crate) fn show(arguments: &ShowArguments) -> anyhow::Result<ExitCode> {
    let path = find_manifest(&arguments.checkpoint)?;
    let manifest = read_manifest(&path)?;
    answer(table(&rows(&path, &manifest)));
    verify(path.parent().unwrap_or(Path::new(".")), &manifest)?;
    answer("every slice is there and has the length and BLAKE3 that the manifest says");
    Ok(ExitCode::SUCCESS)
}

fn rows(path: &Path, manifest: &Manifest) -> Vec<(&'static str, String)> {
    let kind = if manifest.is_final {
        "the job's last"
    } else {
        "on the way"
    };
    let mut rows = vec![
        ("manifest", path.display().to_string()),
        ("job", manifest.job.to_string()),
        (
            "after",
            format!(
                "{}, {}",
                count(manifest.step.0, "step"),
                count(u64::from(manifest.epoch.0), "epoch")
            ),
        ),
        ("kind", kind.to_owned()),
        (
            "generation",
            format!("{}, attempt {}", manifest.generation, manifest.attempt),
        ),
        ("weights SHA-256", manifest.weights_sha256.to_string()),
    ];
    let slices = manifest.slices.iter();
    rows.extend(slices.map(|slice| {
        (
            "slice",
            format!(
                "{}\n{} bytes, BLAKE3 {}",
                slice.file,
                grouped(slice.bytes),
                slice.blake3
            ),
        )
    }));
    rows
}
