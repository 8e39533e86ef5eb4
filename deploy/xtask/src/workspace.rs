//! Where the tree is, and how cargo is called in it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::commands;

/// The checkout this run works on.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
    cargo: OsString,
}

impl Workspace {
    /// Finds the workspace around the current folder.
    pub(crate) fn locate() -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut metadata = Command::new(&cargo);
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = commands::capture(&mut metadata, "reading the workspace")?;
        let metadata: serde_json::Value =
            serde_json::from_str(&output).context("cargo metadata printed no JSON")?;
        let folder = |key: &str| -> Result<PathBuf> {
            let text = metadata[key].as_str();
            Ok(text
                .with_context(|| format!("cargo metadata names no {key}"))?
                .into())
        };
        Ok(Self {
            root: folder("workspace_root")?,
            target: folder("target_directory")?,
            cargo,
        })
    }

    /// A workspace at `root` for tests, whatever lies there.
    #[cfg(test)]
    pub(crate) fn at(root: PathBuf) -> Self {
        Self {
            target: root.join("target"),
            root,
            cargo: "cargo".into(),
        }
    }

    /// The path every build links libtorch by; `.cargo/config.toml` names the same one.
    pub(crate) fn libtorch_link(&self) -> PathBuf {
        self.root.join(".libtorch/torch")
    }

    /// Where the example dataset lies.
    pub(crate) fn dataset(&self) -> PathBuf {
        self.root.join(".data/fashion-mnist")
    }

    /// Tools that only checks need, installed beside the tree instead of for the user.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join(".tools")
    }

    /// A cargo run in the root that sees the environment a user's own cargo would see.
    ///
    /// LIBTORCH is taken away because another string there rebuilds torch-sys for minutes; the link carries the
    /// choice. The `CARGO_PKG_` and `CARGO_MANIFEST_` variables of this very run would do the same to other crates.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cargo);
        command
            .args(arguments)
            .current_dir(&self.root)
            .env_remove("LIBTORCH");
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }

    /// `path` as a reader of messages would write it.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}
