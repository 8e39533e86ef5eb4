//! A job id that no earlier run has.
//!
//! A coordinator counts its jobs. The one that `convoy run` brings along knows nothing of earlier runs, and checkpoints
//! are never replaced, so that it has to start counting after them.

use std::fs::{create_dir, remove_dir};
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
    folders: Vec<PathBuf>,
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
            let _ = remove_dir(folder);
        }
    }
}

/// Takes the number after all that have a folder in one of the roots, which exist, by creating its folders.
pub(crate) fn claim(name: &str, checkpoint_root: &Path, work_dir: &Path) -> anyhow::Result<Claim> {
    let roots = distinct([checkpoint_root, work_dir])?;
    let mut newest = 0;
    for root in &roots {
        newest = newest.max(newest_in(name, root)?);
    }
    loop {
        let number = newest.checked_add(1).with_context(|| {
            format!(
                "no number is left after {name}-{newest}: remove the folder of that name in {} or {}",
                checkpoint_root.display(),
                work_dir.display()
            )
        })?;
        let job = JobId::try_from(format!("{name}-{number}"))
            .context("the name of the job makes no id")?;
        let folders: Vec<_> = roots.iter().map(|root| root.join(job.as_str())).collect();
        if create_all(&folders)? {
            return Ok(Claim {
                job,
                number,
                folders,
            });
        }
        newest = number;
    }
}

/// The roots under their own names, once where both are the same folder.
fn distinct(roots: [&Path; 2]) -> Result<Vec<PathBuf>, FileError> {
    let mut distinct: Vec<PathBuf> = Vec::new();
    for root in roots {
        let root = root
            .canonicalize()
            .map_err(|source| FileError::new("find folder", root, source))?;
        if !distinct.contains(&root) {
            distinct.push(root);
        }
    }
    Ok(distinct)
}

/// Creates all of these folders; false, and none of them, if one is there. So of several runs that start together one gets
/// them, also where they have only one root in common.
fn create_all(folders: &[PathBuf]) -> Result<bool, FileError> {
    for (index, folder) in folders.iter().enumerate() {
        let Err(error) = create_dir(folder) else {
            continue;
        };
        for own in &folders[..index] {
            // Made just now, and empty.
            let _ = remove_dir(own);
        }
        return if error.kind() == io::ErrorKind::AlreadyExists {
            Ok(false)
        } else {
            Err(FileError::new("create folder", folder, error))
        };
    }
    Ok(true)
}

/// The largest number of a folder `NAME-NUMBER`; 0 if there is none.
fn newest_in(name: &str, root: &Path) -> Result<u64, FileError> {
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
    use std::fs::write;
    use std::sync::Barrier;
    use std::thread;

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

    #[test]
    fn runs_that_start_together_and_share_one_folder_get_numbers_of_their_own() {
        const RUNS: usize = 8;
        let work = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let start = Barrier::new(RUNS);
            let run = || {
                let checkpoints = tempfile::tempdir().unwrap();
                start.wait();
                claim("fashion", checkpoints.path(), work.path()).unwrap()
            };
            let claims: Vec<_> = thread::scope(|scope| {
                let runs: Vec<_> = (0..RUNS).map(|_| scope.spawn(run)).collect();
                runs.into_iter().map(|run| run.join().unwrap()).collect()
            });
            let mut numbers: Vec<_> = claims.iter().map(Claim::number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), RUNS, "{numbers:?}");
        }
    }

    #[test]
    fn folder_that_is_taken_leaves_none_of_the_others() {
        let roots = tempfile::tempdir().unwrap();
        let folders = ["a", "b"].map(|name| roots.path().join(name));
        create_dir(&folders[1]).unwrap();
        assert!(!create_all(&folders).unwrap());
        assert!(!folders[0].exists() && folders[1].exists());
    }

    #[test]
    fn logs_and_checkpoints_may_have_the_same_root() {
        let root = tempfile::tempdir().unwrap();
        let other_name = root.path().join(".");
        let claimed = claim("fashion", root.path(), &other_name).unwrap();
        assert_eq!(claimed.number(), 1);
    }

    #[test]
    fn number_that_none_can_follow_is_told_with_what_to_do() {
        let (checkpoints, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        create_dir(work.path().join(format!("fashion-{}", u64::MAX))).unwrap();
        let error = claim("fashion", checkpoints.path(), work.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "no number is left after fashion-18446744073709551615: remove the folder of that name in {} or {}",
                checkpoints.path().display(),
                work.path().display()
            )
        );
    }
}
