//! Paths in documents.

use std::path::{Path, PathBuf};

/// `path` as seen from `folder`, the folder of the document that names it. Only joins: with an absolute folder, the result
/// is absolute. A leading `..` climbs from the folder as it is named, so a folder that is no link gives the shortest path.
pub(crate) fn resolved(folder: &Path, path: &Path) -> PathBuf {
    match (path.strip_prefix(".."), folder.parent()) {
        // A folder that itself ends in `..` has no name to take away.
        (Ok(rest), Some(parent)) if folder.file_name().is_some() => resolved(parent, rest),
        (Err(_) | Ok(_), _) => folder.join(path),
    }
}

/// garde's check of a path.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is garde's"
)]
pub(crate) fn file_path(path: &Path, (): &()) -> garde::Result {
    if path.as_os_str().is_empty() {
        return Err(garde::Error::new("must not be empty"));
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(garde::Error::new("a path must not hold NUL"));
    }
    Ok(())
}
