//! Whether a spec fits into the message in which an agent is told its workers.

use crate::limits::{MAX_ASSIGNMENT_BYTES, MAX_MESSAGE_BYTES};

/// The spec is too long for so many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the job spec is too long for {workers} workers: it has {bytes} bytes as JSON, and an agent is told all its workers, each \
     with the whole spec, in one message of at most {MAX_MESSAGE_BYTES} bytes; {}shorten it: env and training.class_weights \
     are what can be long", self.fewer()
)]
pub struct SpecTooLong {
    /// Wanted on one agent.
    pub workers: u32,
    /// Of the spec as JSON.
    pub bytes: usize,
}

impl SpecTooLong {
    /// How many workers there may be.
    #[must_use]
    pub fn most_workers(&self) -> usize {
        MAX_MESSAGE_BYTES / (self.bytes + MAX_ASSIGNMENT_BYTES)
    }

    fn fewer(&self) -> String {
        match self.most_workers() {
            0 => String::new(),
            most => format!("start at most {most} workers, or "),
        }
    }
}

/// Checks a spec, as `JobSpec::to_json` gives it, for an agent that is to run `workers` workers.
///
/// # Errors
/// If they don't fit into one message.
pub fn check_message(spec_json: &str, workers: u32) -> Result<(), SpecTooLong> {
    let refused = SpecTooLong {
        workers,
        bytes: spec_json.len(),
    };
    if workers as usize <= refused.most_workers() {
        Ok(())
    } else {
        Err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spec_is_refused_where_its_copies_fill_the_message() {
        let spec = "x".repeat(1 << 20);
        assert_eq!(check_message(&spec, 3), Ok(()));
        let refused = check_message(&spec, 4).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the job spec is too long for 4 workers: it has 1048576 bytes as JSON, and an agent is told all its workers, \
             each with the whole spec, in one message of at most 4194304 bytes; start at most 3 workers, or shorten \
             it: env and training.class_weights are what can be long"
        );
    }

    #[test]
    fn spec_that_fills_the_message_alone_is_refused_for_one_worker() {
        let refused = check_message(&"x".repeat(4 << 20), 1).unwrap_err();
        assert_eq!(refused.most_workers(), 0);
        assert!(
            refused.to_string().contains("bytes; shorten it"),
            "no number of workers would do: {refused}"
        );
    }
}
