//! A job spec as the state keeps it: the text that was submitted, and the few facts that are decided by.
//!
//! **Invariant:** the text is never parsed here. Replicas of an older build carry keys that they don't know from one to
//! the other, and all of them decide by the same facts.

use std::sync::Arc;

use convoy_common::spec::{JobSpec, SpecErrors, WorkerBounds};
use serde::{Deserialize, Serialize};

/// A checked job spec: its text and what is decided by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSpec {
    #[serde(with = "shared_text")]
    json: Arc<str>,
    name: String,
    bounds: WorkerBounds,
    epochs: u32,
}

impl StoredSpec {
    /// What the state keeps of a checked spec.
    ///
    /// # Errors
    /// If a path in it is no UTF-8.
    pub fn new(spec: &JobSpec) -> Result<Self, SpecErrors> {
        Ok(Self {
            json: spec.to_json()?.into(),
            name: spec.name.clone(),
            bounds: spec.worker_bounds(),
            epochs: spec.training.epochs,
        })
    }

    /// The whole spec as one line of JSON.
    #[must_use]
    pub fn json(&self) -> &Arc<str> {
        &self.json
    }

    /// The job's name; its id is made from it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many workers it allows, and how many data shards there are.
    #[must_use]
    pub fn bounds(&self) -> WorkerBounds {
        self.bounds
    }

    /// Passes over the training split.
    #[must_use]
    pub fn epochs(&self) -> u32 {
        self.epochs
    }
}

mod shared_text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        text: &Arc<str>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}
