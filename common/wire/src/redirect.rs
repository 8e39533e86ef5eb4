//! How a follower sends its callers to the leader.

use convoy_common::address::CoordinatorAddress;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

/// Metadata of a refusal: what the coordinator is.
pub const ROLE: &str = "convoy-role";

/// The value of [`ROLE`] of one that does not lead.
pub const FOLLOWER: &str = "follower";

/// Metadata of a refusal by a follower: where the leader is reached. Absent while an election goes on.
pub const LEADER: &str = "convoy-leader";

/// Metadata of a refusal by a follower that led when the call came: what it asks for may be done all the same.
pub const UNDECIDED: &str = "convoy-undecided";

/// What a follower answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where the leader is, if the follower knows, and named it in a way that can be understood.
    pub leader: Option<CoordinatorAddress>,
}

impl Redirect {
    /// The answer of a follower that knows this leader, or none.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut metadata = MetadataMap::new();
        metadata.insert(ROLE, tonic::metadata::MetadataValue::from_static(FOLLOWER));
        let message = match &self.leader {
            Some(leader) => {
                // An address is ASCII.
                if let Ok(value) = leader.to_string().parse() {
                    metadata.insert(LEADER, value);
                }
                format!("this coordinator is a follower; {leader} leads")
            }
            None => {
                "this coordinator is a follower and knows no leader: an election goes on".to_owned()
            }
        };
        Status::with_metadata(Code::Unavailable, message, metadata)
    }

    /// The answer of one that led when the call came, and does not know whether its successor carries it out.
    #[must_use]
    pub fn undecided_status(&self) -> Status {
        let mut status = self.status();
        let is_so = tonic::metadata::MetadataValue::from_static("true");
        status.metadata_mut().insert(UNDECIDED, is_so);
        status
    }

    /// Whether what was asked for may be done all the same.
    #[must_use]
    pub fn is_undecided(status: &Status) -> bool {
        status.metadata().contains_key(UNDECIDED)
    }

    /// What a refusal says about the leader; `None` if it does not come from a follower.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        let text = |name: &str| {
            let value = status.metadata().get(name)?;
            value.to_str().ok()
        };
        let is_follower = status.code() == Code::Unavailable && text(ROLE) == Some(FOLLOWER);
        is_follower.then(|| Self {
            leader: text(LEADER).and_then(|leader| leader.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_come_back_as_they_went() {
        for leader in [
            None,
            Some("http://10.0.0.2:7700"),
            Some("http://[fd00::1]:1"),
        ] {
            let redirect = Redirect {
                leader: leader.map(|leader| leader.parse().unwrap()),
            };
            assert!(!Redirect::is_undecided(&redirect.status()));
            let undecided = redirect.undecided_status();
            assert!(Redirect::is_undecided(&undecided));
            for status in [undecided, redirect.status()] {
                assert_eq!(Redirect::of(&status).as_ref(), Some(&redirect));
            }
        }
    }

    #[test]
    fn other_refusals_are_no_redirects() {
        assert_eq!(Redirect::of(&Status::unavailable("starting")), None);
        let mut refused = Redirect { leader: None }.status();
        refused = Status::with_metadata(Code::NotFound, "no", refused.metadata().clone());
        assert_eq!(Redirect::of(&refused), None);
    }

    #[test]
    fn leader_that_can_not_be_understood_is_none() {
        let mut status = Redirect { leader: None }.status();
        status
            .metadata_mut()
            .insert(LEADER, "nowhere".parse().unwrap());
        assert_eq!(Redirect::of(&status), Some(Redirect { leader: None }));
    }
}
