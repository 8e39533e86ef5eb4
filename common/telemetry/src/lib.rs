//! Logging set-up shared by every process: one line per fact, to standard error or a file, filtered by `CONVOY_LOG`.
//!
//! A line is `[label] time LEVEL span{fields}: message fields`; the label says whose line it is once the lines of many
//! processes are read together.

mod label;

#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

pub use label::Label;

use label::Labelled;

/// The environment variable that overrides the filter, in the syntax of `tracing_subscriber::EnvFilter`:
/// `debug`, `info,convoy_agent=trace`.
pub const LOG_VARIABLE: &str = "CONVOY_LOG";

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error, in colours where it is a terminal.
    Stderr,
    /// Appended to this file; its folder must exist.
    File(PathBuf),
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `CONVOY_LOG` is no filter.
    #[error(
        "{LOG_VARIABLE}={text:?} is no log filter ({source}); say for example \"debug\" or \"info,convoy_agent=trace\""
    )]
    Filter {
        /// The text found.
        text: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The log file could not be opened.
    #[error("cannot open the log file {path}: {source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Logging was set up before.
    #[error("logging was already set up in this process")]
    Twice,
}

/// Sets up logging for the whole process. `default_filter` holds unless `CONVOY_LOG` is set; most binaries say `"info"`.
/// The label returned starts empty and can be changed at any time.
///
/// # Errors
/// If the filter or the file is no good, or logging was set up before.
pub fn init(target: &LogTarget, default_filter: &str) -> Result<Label, TelemetryError> {
    let text = std::env::var(LOG_VARIABLE).unwrap_or_default();
    let filter = parse_filter(if text.is_empty() {
        default_filter
    } else {
        &text
    })?;
    let label = Label::default();
    let installed = match target {
        LogTarget::Stderr => {
            let colours = io::stderr().is_terminal();
            tracing::subscriber::set_global_default(lines(filter, &label, colours, io::stderr))
        }
        LogTarget::File(path) => {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(|source| TelemetryError::File {
                    path: path.clone(),
                    source,
                })?;
            tracing::subscriber::set_global_default(lines(filter, &label, false, Mutex::new(file)))
        }
    };
    installed.map_err(|_| TelemetryError::Twice)?;
    Ok(label)
}

fn parse_filter(text: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder()
        .parse(text)
        .map_err(|source| TelemetryError::Filter {
            text: text.to_owned(),
            source,
        })
}

fn lines<W>(
    filter: EnvFilter,
    label: &Label,
    colours: bool,
    writer: W,
) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(writer)
        // It would print to standard error, and panic once that is a pipe whose reader was killed.
        .log_internal_errors(false)
        .event_format(Labelled::new(label.clone()))
        .finish()
}
