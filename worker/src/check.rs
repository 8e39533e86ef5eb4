//! `--check`: whether the program can run here, before a job depends on it.

use convoy_output::answer;
use serde_json::json;

/// The version that the sessions exchange.
pub(crate) const BUILD: &str = env!("CARGO_PKG_VERSION");

/// Prints one line of JSON: build, protocol and the libtorch that was found.
///
/// # Errors
/// If the libtorch is not the one that the program was built for.
pub(crate) fn check() -> anyhow::Result<()> {
    convoy_torch::check_library()?;
    let facts = json!({
        "build": BUILD,
        "protocol_version": convoy_proto::PROTOCOL_VERSION,
        "libtorch": convoy_torch::library_version(),
    });
    answer(facts);
    Ok(())
}
