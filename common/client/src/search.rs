//! Which coordinator to ask next. Pure: answers go in, the next address or a wait comes out.
//!
//! A search goes in rounds. In one round every coordinator is asked at most once, first the one that is said to lead, so
//! that two followers that name each other, or one that names a dead leader, cost a round and no more. Between two rounds
//! it waits, longer each time.

use std::time::Duration;

use convoy_common::address::CoordinatorAddress;

use crate::answers::{Answers, EndpointAnswers};
use crate::backoff::wait_after;

/// Coordinators that are not on the list but were named as leaders; in one round no more of them are asked.
const MAX_NAMED: usize = 8;

/// How long one of several coordinators may take to answer before another is asked: a command is committed in
/// milliseconds, and a call repeated runs once all the same. Doubles each round, for a cluster that is merely slow.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);

/// What a coordinator answered that was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It does not lead.
    Follower { leader: Option<CoordinatorAddress> },
    /// The connection could not be made, or broke.
    Lost { message: String },
    /// Nothing, as long as anyone was patient.
    Silence,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask this one; if there are others to ask, only for so long.
    Ask {
        address: CoordinatorAddress,
        patience: Option<Duration>,
    },
    /// All have been asked.
    Wait(Duration),
}

/// One search for the leader.
#[derive(Debug)]
pub(crate) struct Search {
    list: Vec<CoordinatorAddress>,
    /// Said to lead.
    named: Option<CoordinatorAddress>,
    /// In this round.
    asked: Vec<CoordinatorAddress>,
    rounds: u32,
    /// Some coordinator of this round lives and waits for a leader itself.
    electing: bool,
    has_follower: bool,
    answers: Answers,
}

impl Search {
    pub(crate) fn new(list: &[CoordinatorAddress], leader: Option<CoordinatorAddress>) -> Self {
        Self {
            list: list.to_vec(),
            named: leader,
            asked: Vec::new(),
            rounds: 0,
            electing: false,
            has_follower: false,
            answers: Answers::expected_from(list),
        }
    }

    /// `random` spreads the waits of many clients.
    pub(crate) fn next(&mut self, random: u64) -> Step {
        let outside = |address: &&CoordinatorAddress| !self.list.contains(address);
        let room = self.asked.iter().filter(outside).count() < MAX_NAMED;
        let named = self
            .named
            .iter()
            .filter(|named| room || self.list.contains(named));
        let open = named
            .chain(&self.list)
            .find(|address| !self.asked.contains(address));
        match open.cloned() {
            Some(address) => {
                let patience = self.patience(&address);
                self.asked.push(address.clone());
                Step::Ask { address, patience }
            }
            None => {
                self.rounds = self.rounds.saturating_add(1);
                self.asked.clear();
                let electing = std::mem::take(&mut self.electing);
                Step::Wait(wait_after(self.rounds, electing, random))
            }
        }
    }

    /// None where there is nobody else to ask.
    fn patience(&self, address: &CoordinatorAddress) -> Option<Duration> {
        let others = self.list.iter().chain(&self.asked).chain(&self.named);
        let alone = others.into_iter().all(|other| other == address);
        let doubled = FIRST_PATIENCE * (1 << self.rounds.min(4));
        (!alone).then_some(doubled.min(LONGEST_PATIENCE))
    }

    /// `address` was asked in vain.
    pub(crate) fn answered(&mut self, address: &CoordinatorAddress, answer: Answer) {
        let text = match answer {
            Answer::Follower { leader } => {
                self.has_follower = true;
                self.electing = true;
                // One that names itself is about to lead, or confused: either way it is asked again in its turn.
                self.named = leader.filter(|leader| leader != address);
                match &self.named {
                    Some(leader) => format!("it is a follower and says that {leader} leads"),
                    None => "it is a follower and knows no leader".to_owned(),
                }
            }
            Answer::Lost { message } => {
                self.named.take_if(|named| named == address);
                message
            }
            Answer::Silence => {
                self.named.take_if(|named| named == address);
                "no answer in time".to_owned()
            }
        };
        self.answers.note(address, text);
    }

    /// Whether some coordinator lives, but does not lead.
    pub(crate) fn has_follower(&self) -> bool {
        self.has_follower
    }

    pub(crate) fn into_answers(self) -> Vec<EndpointAnswers> {
        self.answers.into_list()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str) -> CoordinatorAddress {
        format!("http://{host}:7700").parse().unwrap()
    }

    fn search(leader: Option<&str>) -> Search {
        let list = ["a", "b", "c"].map(address);
        Search::new(&list, leader.map(address))
    }

    /// The hosts that are asked in one round, answering as `answer` says.
    fn round(search: &mut Search, answer: impl Fn(&str) -> Answer) -> Vec<String> {
        let mut asked = Vec::new();
        for _ in 0..100 {
            let Step::Ask { address, .. } = search.next(0) else {
                return asked;
            };
            asked.push(address.host().to_owned());
            search.answered(&address, answer(address.host()));
        }
        panic!("a round without an end: {asked:?}")
    }

    fn follower(leader: Option<&str>) -> Answer {
        Answer::Follower {
            leader: leader.map(address),
        }
    }

    fn dead() -> Answer {
        Answer::Lost {
            message: "connection refused".to_owned(),
        }
    }

    #[test]
    fn remembered_leader_is_asked_first_and_the_others_follow() {
        let mut search = search(Some("c"));
        assert_eq!(round(&mut search, |_| dead()), ["c", "a", "b"]);
        assert_eq!(
            round(&mut search, |_| dead()),
            ["a", "b", "c"],
            "it is dead, and no longer said to lead"
        );
    }

    #[test]
    fn follower_is_believed_at_once_also_about_one_that_is_not_on_the_list() {
        let mut search = search(None);
        let asked = round(&mut search, |host| match host {
            "a" => follower(Some("z")),
            _ => dead(),
        });
        assert_eq!(asked, ["a", "z", "b", "c"]);
    }

    #[test]
    fn followers_that_name_each_other_cost_one_round() {
        let mut search = search(None);
        let asked = round(&mut search, |host| match host {
            "a" => follower(Some("b")),
            "b" => follower(Some("a")),
            _ => follower(Some("c")),
        });
        assert_eq!(asked, ["a", "b", "c"]);
    }

    #[test]
    fn follower_that_names_a_dead_leader_does_not_keep_others_from_being_asked() {
        let mut search = search(Some("c"));
        let answer = |host: &str| match host {
            "c" => dead(),
            _ => follower(Some("c")),
        };
        assert_eq!(round(&mut search, answer), ["c", "a", "b"]);
        assert_eq!(
            round(&mut search, answer),
            ["c", "a", "b"],
            "it may be back, since others say that it leads"
        );
    }

    #[test]
    fn endless_chain_of_names_is_cut() {
        let mut search = search(None);
        let asked = round(&mut search, |host| follower(Some(&format!("{host}x"))));
        assert_eq!(asked.len(), 3 + MAX_NAMED, "{asked:?}");
        assert!(
            ["a", "b", "c"]
                .iter()
                .all(|host| asked.iter().any(|asked| asked == host))
        );
    }

    #[test]
    fn one_of_several_is_not_waited_for_without_end_and_the_only_one_is() {
        let patience = |search: &mut Search| match search.next(0) {
            Step::Ask { patience, .. } => patience,
            Step::Wait(wait) => panic!("a wait of {wait:?}"),
        };
        let mut several = search(None);
        assert_eq!(patience(&mut several), Some(FIRST_PATIENCE));
        round(&mut several, |_| Answer::Silence);
        assert_eq!(patience(&mut several), Some(2 * FIRST_PATIENCE));
        for _ in 0..20 {
            round(&mut several, |_| Answer::Silence);
        }
        assert_eq!(patience(&mut several), Some(LONGEST_PATIENCE));

        let mut only = Search::new(&[address("a")], None);
        assert_eq!(patience(&mut only), None);
        let mut remembered = Search::new(&[address("a")], Some(address("a")));
        assert_eq!(patience(&mut remembered), None);
        only.answered(&address("a"), follower(Some("z")));
        assert_eq!(patience(&mut only), Some(FIRST_PATIENCE));
    }

    #[test]
    fn waits_grow_and_are_shorter_while_an_election_goes_on() {
        let waits = |answer: &Answer| -> Vec<Duration> {
            let mut search = search(None);
            let mut waits = Vec::new();
            while waits.len() < 10 {
                match search.next(u64::MAX) {
                    Step::Ask { address, .. } => search.answered(&address, answer.clone()),
                    Step::Wait(wait) => waits.push(wait),
                }
            }
            waits
        };
        let (dead, electing) = (waits(&dead()), waits(&follower(None)));
        assert!(dead.is_sorted() && electing.is_sorted());
        assert!(electing.last() < dead.last(), "{electing:?} {dead:?}");
    }

    #[test]
    fn giving_up_tells_what_everyone_said() {
        let mut search = search(None);
        for _ in 0..2 {
            round(&mut search, |host| match host {
                "a" => dead(),
                "b" => follower(None),
                _ => Answer::Silence,
            });
        }
        assert!(search.has_follower());
        let answers: Vec<_> = search
            .into_answers()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            answers,
            [
                "http://a:7700: connection refused (2 times)",
                "http://b:7700: it is a follower and knows no leader (2 times)",
                "http://c:7700: no answer in time (2 times)",
            ]
        );
    }
}
