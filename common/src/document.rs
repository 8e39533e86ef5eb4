//! TOML documents that are read into structs and checked, all of them in the same way: job specs and configuration files.
//!
//! The struct is the only description of a document. Its JSON schema is derived from it; unknown keys, types, ranges and
//! formats are checked against that schema, and what no single field can say is in [`Document::rules`]. Everything that is
//! wrong is told at once, each problem with line, column, reason and the nearest valid name.

mod finding;
mod format;
mod key_path;
mod locate;
mod paths;
mod problem;
mod shape;
mod shape_check;

use garde::Validate;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::de::DeTable;

use crate::limits::{MAX_SPEC_BYTES, MAX_SPEC_PROBLEMS};

use finding::Findings;
use locate::locate;
use shape_check::check_shape;

pub(crate) use finding::{Finding, quoted};
pub(crate) use key_path::KeyPath;
pub(crate) use paths::{file_path, resolved};
pub use problem::{DocumentErrors, Place, Problem};
pub(crate) use shape::{Shape, json_schema};

/// A struct that is read from a document.
pub(crate) trait Document: DeserializeOwned + JsonSchema + Validate<Context = ()> {
    /// What the document is called in messages: "job spec".
    const KIND: &'static str;

    /// Every rule between keys that the values break. Values may be out of range: each rule bears that.
    fn rules(&self) -> Vec<Finding>;
}

/// Reads a document and checks all of it. `file_name` is only for messages.
///
/// # Errors
/// Everything that is wrong, each with its place. Syntax comes first: a document that does not parse is checked no
/// further. Rules between keys are checked where every single value could be read.
pub(crate) fn parse<D: Document>(source: &str, file_name: &str) -> Result<D, DocumentErrors> {
    if source.len() > MAX_SPEC_BYTES {
        let reason = format!(
            "{} bytes; a {} has at most {MAX_SPEC_BYTES}",
            source.len(),
            D::KIND
        );
        return Err(DocumentErrors::whole(file_name, reason));
    }
    let (document, syntax) = DeTable::parse_recoverable(source);
    if !syntax.is_empty() {
        return Err(syntax_errors(source, file_name, &syntax));
    }
    let mut findings = check_shape(document.get_ref(), &Shape::of(&json_schema::<D>()));
    let read = D::deserialize(toml::de::Deserializer::from(document.clone()));
    match read {
        Ok(value) => {
            findings.push_new(findings_of(&value));
            if findings.is_empty() {
                return Ok(value);
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

/// Checks what was not read from a document. `origin` stands where a file's name would.
///
/// # Errors
/// Everything that is wrong; without places.
pub(crate) fn check<D: Document>(value: &D, origin: &str) -> Result<(), DocumentErrors> {
    let mut findings = findings_of(value);
    if findings.is_empty() {
        return Ok(());
    }
    let left_out = findings.len().saturating_sub(MAX_SPEC_PROBLEMS);
    findings.truncate(MAX_SPEC_PROBLEMS);
    let problems = findings.into_iter().map(|finding| Problem {
        path: finding
            .paths
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
        reason: finding.reason,
        note: finding.note,
        place: None,
    });
    Err(DocumentErrors::new(origin, problems.collect(), left_out))
}

/// What is wrong with the values: each one's own range, then the rules between them.
fn findings_of<D: Document>(value: &D) -> Vec<Finding> {
    let report = value.validate().err();
    let single = report.iter().flat_map(garde::Report::iter);
    let single = single
        .map(|(path, error)| Finding::value(KeyPath::parse(&path.to_string()), error.message()));
    let mut findings: Vec<Finding> = single.collect();
    findings.extend(value.rules());
    findings
}

fn syntax_errors(source: &str, file_name: &str, errors: &[toml::de::Error]) -> DocumentErrors {
    let problems = errors.iter().take(MAX_SPEC_PROBLEMS).map(|error| Problem {
        path: String::new(),
        reason: error.message().to_owned(),
        note: None,
        place: Some(Place::of(source, error.span().unwrap_or(0..0))),
    });
    DocumentErrors::new(
        file_name,
        problems.collect(),
        errors.len().saturating_sub(MAX_SPEC_PROBLEMS),
    )
}

fn placed(
    source: &str,
    file_name: &str,
    document: &DeTable<'_>,
    findings: Findings,
) -> DocumentErrors {
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
    DocumentErrors::new(file_name, problems.collect(), left_out)
}
