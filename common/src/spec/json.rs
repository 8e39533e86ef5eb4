//! The spec as JSON, the form in which it travels between processes.

use super::{JobSpec, SpecErrors};
use crate::document;
use crate::limits::MAX_MESSAGE_BYTES;

/// Stands where a file's name would.
const ORIGIN: &str = "job spec as JSON";

impl JobSpec {
    /// The spec as one line of JSON; [`JobSpec::from_json`] gives back an equal one, floats to the last bit.
    ///
    /// # Errors
    /// If a path is no UTF-8, as after [`JobSpec::resolve_paths`] with such a folder.
    pub fn to_json(&self) -> Result<String, SpecErrors> {
        serde_json::to_string(self).map_err(|error| SpecErrors::whole(ORIGIN, error.to_string()))
    }

    /// Reads a spec from JSON and checks it as [`JobSpec::parse`] does: the sender may be of another version.
    ///
    /// # Errors
    /// The first thing that can't be read, or else everything that is wrong; without places.
    pub fn from_json(json: &str) -> Result<Self, SpecErrors> {
        if json.len() > MAX_MESSAGE_BYTES {
            return Err(SpecErrors::whole(
                ORIGIN,
                format!("{} bytes, of at most {MAX_MESSAGE_BYTES}", json.len()),
            ));
        }
        let spec: Self = serde_json::from_str(json)
            .map_err(|error| SpecErrors::whole(ORIGIN, error.to_string()))?;
        spec.check()?;
        Ok(spec)
    }

    /// Checks a spec that was made or changed by hand.
    ///
    /// # Errors
    /// Everything that is wrong; without places.
    pub fn check(&self) -> Result<(), SpecErrors> {
        document::check(self, ORIGIN)
    }
}
