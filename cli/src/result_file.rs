//! Files that a user names for results: `--summary`, `--json`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Whether `file`, named by `option`, can be written, as far as that can be told without writing it: better known before
/// hours of training than after.
pub(crate) fn check(option: &str, file: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !file.is_dir(),
        "{option} {} is a folder: name a file",
        file.display()
    );
    convoy_files::probe_replaceable(file).with_context(|| format!("{option} can't be written"))
}

/// Puts `result` as JSON in the place of `file`.
pub(crate) fn write(file: &Path, result: &impl Serialize) -> anyhow::Result<()> {
    let mut json = serde_json::to_vec_pretty(result)?;
    json.push(b'\n');
    convoy_files::replace(file, |writer| writer.write_all(&json))?;
    Ok(())
}
