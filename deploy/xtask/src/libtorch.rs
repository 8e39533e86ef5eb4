//! Which libtorch builds link: the pinned slim set, or a torch 2.11.0 that the user names.
//!
//! `.libtorch/torch` is always a link to the chosen one, so that the path every build sees never changes:
//! another string in LIBTORCH would rebuild torch-sys for minutes. Libraries find each other by `$ORIGIN`, which
//! the kernel resolves behind the link.

mod foreign;
mod wheels;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::installed;
use crate::staging;
use crate::steps::Ending;
use crate::workspace::Workspace;

/// The only version that tch 0.24 works with (deploy/decisions/0001-libtorch.md).
const VERSION: &str = "2.11.0";

/// The libtorch that the user asks for, by flag or by LIBTORCH.
///
/// Cargo itself sets LIBTORCH to the default link when it starts this program: that value names nothing.
pub(crate) fn named(flag: Option<&Path>, workspace: &Workspace) -> Option<PathBuf> {
    choose(
        flag,
        env::var_os("LIBTORCH").map(PathBuf::from),
        &workspace.libtorch_link(),
    )
}

fn choose(flag: Option<&Path>, variable: Option<PathBuf>, default: &Path) -> Option<PathBuf> {
    let meant = |path: &PathBuf| !path.as_os_str().is_empty() && path != default;
    flag.map(Path::to_owned).or_else(|| variable.filter(meant))
}

/// What set-up will do about libtorch.
pub(crate) enum Plan {
    /// Link this folder, whose version was checked.
    Use {
        /// The folder with `lib` and `include`, absolute.
        folder: PathBuf,
        /// For the reader: which one and why.
        note: String,
    },
    /// Download the slim set, because of this.
    Fetch(String),
}

/// Decides, and refuses a libtorch of another version.
pub(crate) fn plan(workspace: &Workspace, named: Option<&Path>) -> Result<Plan> {
    let link = workspace.libtorch_link();
    if let Some(path) = named {
        if is_real_folder(&link) {
            bail!(
                "{} is a folder, so no link to {} can stand there: move it away, then run the command again",
                link.display(),
                path.display()
            );
        }
        let found = foreign::inspect(path)?;
        let note = format!("{} of {}", found.version, found.folder.display());
        return Ok(Plan::Use {
            folder: found.folder,
            note,
        });
    }
    // A choice made earlier stays: a link elsewhere, or a folder somebody put there.
    let slim = slim_folder(workspace);
    let target = fs::canonicalize(&link).ok();
    if let Some(target) = target
        && !target.starts_with(&slim)
    {
        let found = foreign::inspect(&target)?;
        let shown = workspace.shown(&link);
        let note = format!(
            "{} of {}; remove {shown} to go back to the pinned one",
            found.version,
            found.folder.display()
        );
        return Ok(Plan::Use {
            folder: found.folder,
            note,
        });
    }
    match installed::difference(&slim, &wheels::identity()) {
        None => Ok(Plan::Use {
            folder: slim.join("torch"),
            note: format!("pinned {VERSION}"),
        }),
        Some(difference) => Ok(Plan::Fetch(difference)),
    }
}

/// Carries the plan out.
pub(crate) fn establish(workspace: &Workspace, plan: &Plan) -> Result<Ending> {
    let slim = slim_folder(workspace);
    let _lock = staging::lock(&workspace.root.join(".libtorch"))?;
    match plan {
        Plan::Use { folder, note } => {
            point_to(workspace, folder)?;
            Ok(Ending::AlreadyRight(note.clone()))
        }
        Plan::Fetch(_) => {
            // Another run may have fetched it while this one waited for the lock.
            if installed::difference(&slim, &wheels::identity()).is_some() {
                wheels::fetch(&slim)?;
            }
            point_to(workspace, &slim.join("torch"))?;
            Ok(Ending::Done)
        }
    }
}

fn point_to(workspace: &Workspace, folder: &Path) -> Result<()> {
    let link = workspace.libtorch_link();
    if fs::canonicalize(&link).ok() == Some(folder.to_owned()) {
        return Ok(());
    }
    // Inside the tree the link is relative, so that a moved checkout keeps working.
    let parent = workspace.root.join(".libtorch");
    staging::replace_link(&link, folder.strip_prefix(&parent).unwrap_or(folder))
}

fn slim_folder(workspace: &Workspace) -> PathBuf {
    let root = fs::canonicalize(&workspace.root).unwrap_or_else(|_| workspace.root.clone());
    root.join(".libtorch/slim")
}

fn is_real_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_that_cargo_itself_sets_names_no_libtorch() {
        let default = Path::new("/tree/.libtorch/torch");
        assert_eq!(choose(None, Some(default.into()), default), None);
        assert_eq!(choose(None, Some(PathBuf::new()), default), None);
        assert_eq!(choose(None, None, default), None);
    }

    #[test]
    fn flag_goes_before_the_variable() {
        let default = Path::new("/tree/.libtorch/torch");
        let variable = Some(PathBuf::from("/by/variable"));
        assert_eq!(choose(None, variable.clone(), default), variable);
        let flag = Path::new("/by/flag");
        assert_eq!(choose(Some(flag), variable, default), Some(flag.to_owned()));
    }

    fn workspace_in(root: &Path) -> Workspace {
        Workspace::at(root.canonicalize().unwrap())
    }

    #[test]
    fn named_libtorch_is_linked_and_the_choice_lasts() {
        let tree = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let torch = foreign::tests::torch_of(other.path(), "2.11.0+cu130");
        let workspace = workspace_in(tree.path());
        let first = plan(&workspace, Some(other.path())).unwrap();
        establish(&workspace, &first).unwrap();
        let link = workspace.libtorch_link();
        assert_eq!(
            fs::canonicalize(&link).unwrap(),
            torch.canonicalize().unwrap()
        );
        let later = plan(&workspace, None).unwrap();
        let Plan::Use { note, .. } = later else {
            panic!("the choice was forgotten")
        };
        assert!(note.contains("remove .libtorch/torch to go back"), "{note}");
    }

    #[test]
    fn refused_libtorch_changes_nothing() {
        let tree = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        foreign::tests::torch_of(other.path(), "2.12.1");
        let workspace = workspace_in(tree.path());
        assert!(plan(&workspace, Some(other.path())).is_err());
        assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 0);
    }

    #[test]
    fn recorded_slim_set_is_used_and_a_dangling_link_is_fetched_anew() {
        let tree = tempfile::tempdir().unwrap();
        let workspace = workspace_in(tree.path());
        let slim = slim_folder(&workspace);
        fs::create_dir_all(slim.join("torch/lib")).unwrap();
        fs::write(slim.join("torch/lib/libc10.so"), "x").unwrap();
        installed::record(&slim, &wheels::identity()).unwrap();
        let right = plan(&workspace, None).unwrap();
        establish(&workspace, &right).unwrap();
        let link = workspace.libtorch_link();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("slim/torch"));
        fs::remove_dir_all(&slim).unwrap();
        let Plan::Fetch(why) = plan(&workspace, None).unwrap() else {
            panic!("nothing is there")
        };
        assert_eq!(why, "not there yet");
    }

    #[test]
    fn folder_in_place_of_the_link_is_never_replaced() {
        let tree = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        foreign::tests::torch_of(other.path(), VERSION);
        foreign::tests::torch_of(&tree.path().join(".libtorch"), VERSION);
        let workspace = workspace_in(tree.path());
        let text = plan(&workspace, Some(other.path()))
            .err()
            .unwrap()
            .to_string();
        assert!(text.contains("is a folder"), "{text}");
        assert!(matches!(plan(&workspace, None).unwrap(), Plan::Use { .. }));
    }
}
