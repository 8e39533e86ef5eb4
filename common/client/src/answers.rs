//! What each coordinator answered, and how often.

use std::fmt;

use convoy_common::address::CoordinatorAddress;

/// Different answers of one coordinator that are told apart; nobody reads more.
const MAX_DIFFERENT: usize = 4;

/// Coordinators that are told apart: those of the longest list, and as many that they named.
const MAX_ENDPOINTS: usize = 32;

/// What one coordinator answered while it was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointAnswers {
    /// Which.
    pub address: CoordinatorAddress,
    /// Each different answer, with how often it came; none if it was never asked.
    pub answers: Vec<(String, u32)>,
}

/// The answers of all, in the order in which they were asked first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Vec<EndpointAnswers>);

impl Answers {
    /// None so far, from any of these.
    pub(crate) fn expected_from(addresses: &[CoordinatorAddress]) -> Self {
        let none = |address: &CoordinatorAddress| EndpointAnswers {
            address: address.clone(),
            answers: Vec::new(),
        };
        Self(addresses.iter().map(none).collect())
    }

    pub(crate) fn note(&mut self, address: &CoordinatorAddress, answer: String) {
        let known = self.0.iter().position(|known| known.address == *address);
        let at = known.unwrap_or_else(|| {
            if self.0.len() < MAX_ENDPOINTS {
                self.0.push(EndpointAnswers {
                    address: address.clone(),
                    answers: Vec::new(),
                });
            }
            self.0.len() - 1
        });
        let answers = &mut self.0[at].answers;
        let room = answers.len() < MAX_DIFFERENT;
        match answers.iter_mut().find(|(text, _)| *text == answer) {
            Some((_, times)) => *times = times.saturating_add(1),
            None if room => answers.push((answer, 1)),
            // The last one stands for all that differ.
            None => {
                if let Some((text, times)) = answers.last_mut() {
                    *text = "something else".to_owned();
                    *times = times.saturating_add(1);
                }
            }
        }
    }

    pub(crate) fn into_list(self) -> Vec<EndpointAnswers> {
        self.0
    }
}

impl fmt::Display for EndpointAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.address)?;
        if self.answers.is_empty() {
            return f.write_str("not asked in that time");
        }
        for (at, (text, times)) in self.answers.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match times {
                1 => write!(f, "{comma}{text} (once)")?,
                times => write!(f, "{comma}{text} ({times} times)")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str) -> CoordinatorAddress {
        format!("http://{host}:7700").parse().unwrap()
    }

    fn shown(answers: Answers) -> Vec<String> {
        let list = answers.into_list();
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_endpoint_is_told_with_what_it_said_and_how_often() {
        let mut answers = Answers::expected_from(&[address("a"), address("b")]);
        answers.note(&address("a"), "connection refused".to_owned());
        answers.note(&address("c"), "no answer in time".to_owned());
        answers.note(&address("a"), "connection refused".to_owned());
        answers.note(&address("a"), "it shuts down".to_owned());
        assert_eq!(
            shown(answers),
            [
                "http://a:7700: connection refused (2 times), it shuts down (once)",
                "http://b:7700: not asked in that time",
                "http://c:7700: no answer in time (once)",
            ]
        );
    }

    #[test]
    fn however_many_answers_differ_only_a_few_are_told() {
        let mut answers = Answers::expected_from(&[address("a")]);
        for number in 0..10 {
            answers.note(&address("a"), format!("error {number}"));
        }
        for number in 0..100 {
            answers.note(&address(&format!("x{number}")), "no".to_owned());
        }
        let shown = shown(answers);
        assert_eq!(
            shown[0],
            "http://a:7700: error 0 (once), error 1 (once), error 2 (once), something else (7 times)"
        );
        assert_eq!(shown.len(), MAX_ENDPOINTS);
    }
}
