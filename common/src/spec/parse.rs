//! From TOML to a checked spec.

use std::path::{Path, PathBuf};

use garde::Validate;
use serde::Deserialize;
use toml::de::DeTable;

use super::JobSpec;
use super::document::locate;
use super::finding::{Finding, Findings};
use super::key_path::KeyPath;
use super::problem::{Place, Problem, SpecErrors};
use super::rules::check_rules;
use super::shape::{Shape, json_schema};
use super::shape_check::check_shape;
use crate::limits::{MAX_SPEC_BYTES, MAX_SPEC_PROBLEMS};

impl JobSpec {
    /// Reads a spec from TOML and checks all of it. `file_name` is only for messages.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place. Syntax comes first: a document that does not parse is checked no
    /// further. Rules between keys are checked where every single value could be read.
    pub fn parse(source: &str, file_name: &str) -> Result<Self, SpecErrors> {
        if source.len() > MAX_SPEC_BYTES {
            let reason = format!(
                "{} bytes; a job spec has at most {MAX_SPEC_BYTES}",
                source.len()
            );
            return Err(SpecErrors::whole(file_name, reason));
        }
        let (document, syntax) = DeTable::parse_recoverable(source);
        if !syntax.is_empty() {
            return Err(syntax_errors(source, file_name, &syntax));
        }
        let mut findings = check_shape(document.get_ref(), &Shape::of(&json_schema()));
        let read = Self::deserialize(toml::de::Deserializer::from(document.clone()));
        match read {
            Ok(spec) => {
                findings.push_new(spec.findings());
                if findings.is_empty() {
                    return Ok(spec);
                }
            }
            // Unreached as long as the schema tells all that the structs demand.
            Err(error) if findings.is_empty() => {
                return Err(syntax_errors(source, file_name, &[error]));
            }
            Err(_) => {}
        }
        Err(placed(source, file_name, document.get_ref(), findings))
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

    /// What is wrong with the values: each one's own range, then the rules between them.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let report = self.validate().err();
        let single = report.iter().flat_map(garde::Report::iter);
        let single = single.map(|(path, error)| {
            Finding::value(KeyPath::parse(&path.to_string()), error.message())
        });
        let mut findings: Vec<Finding> = single.collect();
        findings.extend(check_rules(self));
        findings
    }
}

fn syntax_errors(source: &str, file_name: &str, errors: &[toml::de::Error]) -> SpecErrors {
    let problems = errors.iter().take(MAX_SPEC_PROBLEMS).map(|error| Problem {
        path: String::new(),
        reason: error.message().to_owned(),
        note: None,
        place: Some(Place::of(source, error.span().unwrap_or(0..0))),
    });
    SpecErrors::new(
        file_name,
        problems.collect(),
        errors.len().saturating_sub(MAX_SPEC_PROBLEMS),
    )
}

fn placed(source: &str, file_name: &str, document: &DeTable<'_>, findings: Findings) -> SpecErrors {
    let (findings, left_out) = findings.into_parts();
    let problems = findings.into_iter().map(|finding| {
        let (span, path) = locate(document, &finding);
        // What is missing from the document itself stands on no line.
        let place = if span.is_empty() {
            Place::start()
        } else {
            Place::of(source, span)
        };
        let path = path.map(KeyPath::to_string).unwrap_or_default();
        Problem {
            path,
            reason: finding.reason,
            note: finding.note,
            place: Some(place),
        }
    });
    SpecErrors::new(file_name, problems.collect(), left_out)
}

fn resolved(folder: &Path, path: &Path) -> PathBuf {
    match (path.strip_prefix(".."), folder.parent()) {
        // A folder that itself ends in `..` has no name to take away.
        (Ok(rest), Some(parent)) if folder.file_name().is_some() => resolved(parent, rest),
        (Err(_) | Ok(_), _) => folder.join(path),
    }
}
