//! Where the other binaries of Convoy are.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A binary that should lie beside this one does not.
#[derive(Debug, thiserror::Error)]
pub enum MissingSibling {
    /// The path of the running binary is not known.
    #[error("cannot find {name}: the path of the running binary is unknown: {source}")]
    NoSelf {
        /// The binary looked for.
        name: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// Nothing that can be run lies there.
    #[error(
        "{path} does not exist or can't be executed; it belongs beside {own}: build both with `cargo xtask quickstart`"
    )]
    NotThere {
        /// Where it was looked for.
        path: PathBuf,
        /// The running binary.
        own: PathBuf,
    },
}

/// Path of the binary `name` in the folder of the running binary.
///
/// # Errors
/// If it isn't there or isn't executable.
pub fn sibling_binary(name: &str) -> Result<PathBuf, MissingSibling> {
    let own = std::env::current_exe().map_err(|source| MissingSibling::NoSelf {
        name: name.to_owned(),
        source,
    })?;
    beside(&own, name)
}

pub(crate) fn beside(own: &Path, name: &str) -> Result<PathBuf, MissingSibling> {
    let path = own.with_file_name(name);
    let executable = path
        .metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    if executable {
        Ok(path)
    } else {
        Err(MissingSibling::NotThere {
            path,
            own: own.to_owned(),
        })
    }
}
