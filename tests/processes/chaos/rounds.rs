//! Rounds: in each, some coordinators are killed and started again while clients work, and then everything is checked.

use std::sync::Arc;

use harness::random::{Random, pass_some_time};

use super::clients::{Client, Seen, Shared};
use super::ledger::{History, Submissions, Values};
use crate::cluster::Cluster;

/// Clients that work at the same time.
const CLIENTS: u64 = 6;

/// Answers before, between and after the faults of a round, at least and at most.
const ANSWERS: (u64, u64) = (10, 80);
/// In each round come at least so many answers.
pub(crate) const LEAST_ANSWERED: u64 = 2 * ANSWERS.0;

/// Nobody is killed right after an answer only.
const MOST_BETWEEN_US: u64 = 3_000;

/// The name of the job whose notes are written.
const NOTES: &str = "notes";

/// What happens in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The leader is killed.
    Leader,
    /// Another is.
    Follower,
    /// Two are, so that nobody leads.
    Two,
    /// One is, comes back, and is killed again while it does.
    OneTwice,
    /// All are, at once.
    All,
    /// The leader stands still until another has led, and then goes on as if it still did.
    Pause,
}

impl Fault {
    fn draw(number: u64, random: &mut Random) -> Self {
        match number % 5 {
            2 => return Self::Pause,
            4 => return Self::All,
            _ => {}
        }
        random.pick(&[
            Self::Leader,
            Self::Leader,
            Self::Leader,
            Self::Follower,
            Self::Two,
            Self::OneTwice,
        ])
    }
}

/// All rounds of one cluster.
pub(crate) struct Rounds<'a> {
    cluster: &'a mut Cluster,
    random: Random,
    shared: Arc<Shared>,
    /// None of them works between two rounds.
    clients: Vec<Client>,
    /// Reads when nobody writes.
    judge: Client,
    /// What the registers held when the last round was over.
    values: Values,
    submissions: Submissions,
    is_mutation_shown: bool,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(cluster: &'a mut Cluster, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let job = cluster.submit(NOTES);
        let mut submissions = Submissions::default();
        let id = Some(job.to_string());
        submissions.by_name.insert(NOTES.to_owned(), id);
        let shared = Shared::new(job);
        let mut client = |number| {
            let random = Random::new(random.draw());
            Client::new(number, cluster.client(), random, &shared)
        };
        let clients = (1..=CLIENTS).map(&mut client).collect();
        let judge = client(0);
        Self {
            cluster,
            random,
            shared,
            clients,
            judge,
            values: Values::new(),
            submissions,
            is_mutation_shown: false,
        }
    }

    /// Runs one round.
    ///
    /// # Panics
    /// If something is not as it should be.
    pub(crate) fn run(&mut self, number: u64) {
        let fault = Fault::draw(number, &mut self.random);
        println!("round {number}: {fault:?}");
        self.shared.stop(false);
        let working: Vec<_> = self
            .clients
            .drain(..)
            .map(|client| self.cluster.spawn(client.work()))
            .collect();
        self.wait_for_answers();
        self.perform(fault);
        self.wait_for_answers();
        self.shared.stop(true);
        for client in working {
            let client = self.cluster.wait_on(client);
            self.clients.push(client.expect("no client panics"));
        }
        self.check(number);
    }

    fn wait_for_answers(&mut self) {
        let more = self.random.between(ANSWERS.0, ANSWERS.1);
        self.cluster.wait_on(self.shared.wait_for_answers(more));
    }

    fn perform(&mut self, fault: Fault) {
        let mut ids = self.cluster.coordinators.ids();
        let leader = self.cluster.leader();
        ids.sort_by_key(|id| (*id != leader, *id));
        let other = ids[1 + self.random.below(2) as usize];
        pass_some_time(&mut self.random, MOST_BETWEEN_US);
        match fault {
            Fault::Leader => self.kill_for_a_while(leader),
            Fault::Follower => self.kill_for_a_while(other),
            Fault::Two => self.kill_and_restart(&[leader, other]),
            Fault::OneTwice => {
                let twice = self.random.pick(&ids);
                self.kill_and_restart(&[twice]);
                pass_some_time(&mut self.random, 10 * MOST_BETWEEN_US);
                self.kill_and_restart(&[twice]);
            }
            Fault::All => self.kill_and_restart(&ids),
            Fault::Pause => {
                self.cluster.coordinators.pause(leader);
                self.wait_for_answers();
                self.cluster.coordinators.resume(leader);
            }
        }
    }

    /// The others go on without it.
    fn kill_for_a_while(&mut self, id: u64) {
        self.cluster.coordinators.kill(&[id]);
        if self.random.chance(700) {
            self.wait_for_answers();
        }
        self.cluster.coordinators.restart(id);
    }

    fn kill_and_restart(&mut self, ids: &[u64]) {
        self.cluster.coordinators.kill(ids);
        for id in ids {
            self.cluster.coordinators.restart(*id);
            pass_some_time(&mut self.random, MOST_BETWEEN_US);
        }
    }

    fn check(&mut self, number: u64) {
        let caught_up = self.cluster.all_caught_up();
        let mut history = History::default();
        for client in &mut self.clients {
            history.append(client.take_history());
            self.submissions.append(client.take_submissions());
        }
        let values = self.cluster.wait_on(self.judge.read());
        let values = values.expect("a cluster at rest answers");
        history.append(self.judge.take_history());
        let checked = history.check(&self.values);
        checked.unwrap_or_else(|violation| panic!("round {number}: {violation}"));
        if let Some(mutated) = history.with_a_lost_write() {
            assert!(
                mutated.check(&self.values).is_err(),
                "round {number}: a write that was left out of the history is not missed"
            );
            self.is_mutation_shown = true;
        }
        self.values = values;
        self.check_submissions();
        println!("  {caught_up} entries, {} answers", self.shared.answered());
    }

    /// Also ends jobs of which their clients did not hear.
    fn check_submissions(&self) {
        let jobs = self.cluster.jobs_after(0);
        let found: Vec<_> = jobs
            .iter()
            .map(|job| (job.name.clone(), job.job_id.clone()))
            .collect();
        self.submissions.check(&found);
        let cancel = self.cluster.client();
        let open = jobs.iter().filter(|job| {
            job.name != NOTES && job.state() != convoy_proto::v1::JobState::Cancelled
        });
        for job in open {
            let id = job.job_id.clone().try_into();
            let id = id.expect("ids of jobs are ids of jobs");
            let cancelled = cancel.cancel(&id, "it was only a test");
            let cancelled = self.cluster.wait_on(cancelled);
            cancelled.unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Checks that all coordinators hold the same state; what was done in all rounds.
    ///
    /// # Panics
    /// If something is not as it should be.
    pub(crate) fn end(mut self) -> Seen {
        let job = self.shared.job.clone();
        let ids = self.cluster.coordinators.ids();
        let mut states = Vec::new();
        for id in &ids {
            self.cluster.lead(*id);
            let values = self.cluster.wait_on(self.judge.read());
            assert_eq!(values.as_ref(), Some(&self.values), "{job} at {id}");
            states.push((*id, self.cluster.jobs_after(0)));
        }
        for (id, jobs) in &states {
            assert_eq!(*jobs, states[0].1, "jobs at {id} and at {}", states[0].0);
        }
        for id in ids {
            self.cluster.coordinators.assert_runs(id);
            let log = self.cluster.coordinators.log(id);
            assert!(!log.contains("panicked"), "coordinator {id}:\n{log}");
        }
        assert!(self.is_mutation_shown, "no write was acknowledged and seen");
        let mut seen = Seen::default();
        for client in &self.clients {
            seen.answered += client.seen.answered;
            seen.lost += client.seen.lost;
            seen.reads += client.seen.reads;
            seen.submissions += client.seen.submissions;
        }
        seen
    }
}
