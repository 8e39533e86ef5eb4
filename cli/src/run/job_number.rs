//! A job id that no earlier run has.
//!
//! A coordinator counts its jobs. The one that `convoy run` brings along knows nothing of earlier runs, and checkpoints
//! are never replaced, so that it has to start counting after them.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use convoy_common::ids::JobId;
use convoy_files::FileError;

/// A number, held by folders of the job's name.
#[derive(Debug)]
pub(crate) struct Claim {
    job: JobId,
    number: u64,
    folders: [PathBuf; 2],
}

impl Claim {
    /// The id.
    pub(crate) fn job(&self) -> &JobId {
        &self.job
    }

    /// The number in it.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Refused where there are checkpoints or logs in it, and that is right.
        for folder in &self.folders {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Takes the number after all that have a folder in one of the roots, by creating its folders.
pub(crate) fn claim(name: &str, checkpoint_root: &Path, work_dir: &Path) -> anyhow::Result<Claim> {
    let mut number = 1 + newest(name, checkpoint_root)?.max(newest(name, work_dir)?);
    loop {
        let job = JobId::try_from(format!("{name}-{number}"))
            .context("the name of the job makes no id")?;
        let folders = [checkpoint_root, work_dir].map(|root| root.join(job.as_str()));
        let [checkpoints, work] = &folders;
        // Of several runs that start together, one makes the folder.
        match std::fs::create_dir(checkpoints) {
            Ok(()) => {
                convoy_files::ensure_folder(work)?;
                return Ok(Claim {
                    job,
                    number,
                    folders,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(FileError::new("create folder", checkpoints, error).into()),
        }
    }
}

/// The largest number of a folder `NAME-NUMBER`; 0 if there is none.
fn newest(name: &str, root: &Path) -> Result<u64, FileError> {
    let unreadable = |source| FileError::new("read folder", root, source);
    let mut newest = 0;
    for entry in std::fs::read_dir(root).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?.file_name();
        let digits = entry
            .to_str()
            .and_then(|entry| entry.strip_prefix(name))
            .and_then(|rest| rest.strip_prefix('-'));
        newest = newest.max(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0));
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, write};

    use super::*;

    #[test]
    fn number_comes_after_all_earlier_runs() {
        let (checkpoints, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        create_dir(checkpoints.path().join("fashion-2")).unwrap();
        create_dir(checkpoints.path().join("fashion-full-9")).unwrap();
        create_dir(work.path().join("fashion-4")).unwrap();
        let claimed = claim("fashion", checkpoints.path(), work.path()).unwrap();
        assert_eq!((claimed.job().as_str(), claimed.number()), ("fashion-5", 5));
        let next = claim("fashion", checkpoints.path(), work.path()).unwrap();
        assert_eq!(next.number(), 6, "two runs at the same time differ");
    }

    #[test]
    fn run_that_wrote_nothing_leaves_no_folder() {
        let (checkpoints, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(claim("fashion", checkpoints.path(), work.path()).unwrap());
        assert!(!checkpoints.path().join("fashion-1").exists());
        assert!(!work.path().join("fashion-1").exists());
        let second = claim("fashion", checkpoints.path(), work.path()).unwrap();
        assert_eq!(second.number(), 1);
        write(checkpoints.path().join("fashion-1/slice"), "x").unwrap();
        drop(second);
        assert!(checkpoints.path().join("fashion-1/slice").exists());
    }
}
