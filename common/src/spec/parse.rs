//! From TOML to a checked spec.

use std::path::{Path, PathBuf};

use super::rules::check_rules;
use super::{JobSpec, SpecErrors};
use crate::document::{self, Document, Finding, resolved};

impl Document for JobSpec {
    const KIND: &'static str = "job spec";

    fn rules(&self) -> Vec<Finding> {
        check_rules(self)
    }
}

impl JobSpec {
    /// Reads a spec from TOML and checks all of it. `file_name` is only for messages.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place. Syntax comes first: a document that does not parse is checked no
    /// further. Rules between keys are checked where every single value could be read.
    pub fn parse(source: &str, file_name: &str) -> Result<Self, SpecErrors> {
        document::parse(source, file_name)
    }

    /// Makes every relative path of the spec relative to `folder` instead, the folder of the spec's file. Only joins:
    /// with an absolute folder, all paths are absolute afterwards. A leading `..` climbs from the folder as it is named, so
    /// a folder that is no link gives the shortest path.
    pub fn resolve_paths(&mut self, folder: &Path) {
        for path in self.paths_mut() {
            *path = resolved(folder, path);
        }
    }

    /// Every path of the spec: a new key that holds one belongs here.
    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        let mut paths = self.data.files.paths_mut();
        paths.extend(&mut self.model.init);
        paths.push(&mut self.checkpoints.folder);
        paths
    }
}
