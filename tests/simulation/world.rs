//! Replicas, clients, network and faults of one schedule, under one clock.

mod clients;
mod ending;
mod faults;
mod members;
mod replicas;
mod snapshots;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use bytes::Bytes;
use convoy_consensus::{ReplicaId, Role};
use convoy_proto::raft::v1;

use crate::checks::{Checked, Checks, Violation, violated};
use crate::network::Network;
use crate::node::Node;
use crate::plan::Plan;
use harness::random::Random;

use clients::{Answer, Client};
use snapshots::Transfer;

/// A healed cluster has so long to commit a command of every client and to make all replicas equal: elections of several
/// rounds and a snapshot fit in.
const CALM_US: u64 = 8_000_000;
/// The last lines of a failed schedule that are shown.
const SHOWN_LINES: usize = 400;

/// What happens at a moment.
pub(crate) enum Event {
    Tick {
        node: u64,
        life: u64,
    },
    Advance {
        node: u64,
        life: u64,
    },
    Deliver(Box<v1::RaftMessage>),
    Ask {
        client: u64,
    },
    Request {
        client: u64,
        sequence: u64,
        node: u64,
        data: Bytes,
    },
    Answer {
        client: u64,
        sequence: u64,
        answer: Answer,
    },
    LosePatience {
        client: u64,
        attempt: u64,
    },
    Read {
        node: u64,
    },
    SnapshotArrives(Box<Transfer>),
    SnapshotReported {
        node: u64,
        life: u64,
        to: u64,
        is_in_place: bool,
    },
    SnapshotFinished {
        node: u64,
        life: u64,
    },
    Crash,
    CrashAnyway {
        node: u64,
        life: u64,
    },
    Restart {
        node: u64,
    },
    Partition,
    Mend,
    ChangeMembers,
    TransferLeadership,
    FillDisk,
    EmptyDisk {
        node: u64,
    },
    LoseDisk,
    CalmDown,
}

struct Due {
    at_us: u64,
    /// Makes the order of events at one moment that of their making.
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

/// One schedule.
pub(crate) struct World {
    plan: Plan,
    random: Random,
    now_us: u64,
    queue: BinaryHeap<Reverse<Due>>,
    made: u64,
    nodes: BTreeMap<u64, Node>,
    network: Network,
    clients: BTreeMap<u64, Client>,
    checks: Checks,
    /// Who has heard from whom, and so knows the other's folder.
    acquainted: BTreeSet<(u64, u64)>,
    /// Set when faults are over: until when all must be well.
    deadline_us: Option<u64>,
    /// Grows with everything that happens; equal for equal schedules.
    fingerprint: u64,
    seen: Seen,
    lines: Option<Vec<String>>,
}

/// How often things happened that a simulation is for.
pub(crate) type Seen = BTreeMap<&'static str, u64>;

/// What a schedule that kept all promises did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) events: u64,
    pub(crate) simulated_us: u64,
    pub(crate) fingerprint: u64,
    pub(crate) seen: Seen,
}

/// A schedule that broke a promise.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) lines: Vec<String>,
}

/// Runs a schedule to its end. `is_told`: keep what happens, to show it.
pub(crate) fn run(plan: Plan, is_told: bool) -> Result<Summary, Failure> {
    let mut world = World::new(plan, is_told);
    let ran = world.run();
    let lines = world.lines.take().unwrap_or_default();
    match ran {
        Ok(()) => Ok(world.summary()),
        Err(Violation(what)) => Err(Failure {
            what: format!("at {} ms: {what}", world.now_us / 1_000),
            lines: lines[lines.len().saturating_sub(SHOWN_LINES)..].to_vec(),
        }),
    }
}

impl World {
    fn new(plan: Plan, is_told: bool) -> Self {
        let founders: Vec<_> = (1..=plan.replicas).map(ReplicaId).collect();
        let nodes = (1..=plan.replicas).map(|id| (id, Node::new(id, founders.clone(), &plan)));
        Self {
            random: Random::new(plan.seed),
            now_us: 0,
            queue: BinaryHeap::new(),
            made: 0,
            nodes: nodes.collect(),
            network: Network::new(plan.network.clone()),
            clients: (1..=plan.clients).map(|id| (id, Client::new(id))).collect(),
            checks: Checks::default(),
            acquainted: BTreeSet::new(),
            deadline_us: None,
            fingerprint: plan.seed,
            seen: Seen::new(),
            lines: is_told.then(Vec::new),
            plan,
        }
    }

    fn run(&mut self) -> Checked {
        let plan = format!("{:?}", self.plan);
        self.tell(|| plan);
        self.begin()?;
        while let Some(Reverse(due)) = self.queue.pop() {
            self.now_us = due.at_us;
            self.mix(due.at_us);
            self.happen(due.event)?;
            let Some(deadline_us) = self.deadline_us else {
                continue;
            };
            if self.is_well()? {
                return self.check_end();
            }
            if self.now_us > deadline_us {
                return violated(format!(
                    "{} ms after the faults ended {}",
                    CALM_US / 1_000,
                    self.what_is_missing()
                ));
            }
        }
        violated("nothing is left to happen")
    }

    fn begin(&mut self) -> Checked {
        for id in self.node_ids() {
            self.start(id)?;
        }
        for client in 1..=self.plan.clients {
            let after_us = self.random.below(200_000);
            self.after(after_us, Event::Ask { client });
        }
        self.begin_faults();
        let disturbed_us = self.plan.disturbed_us;
        self.after(disturbed_us, Event::CalmDown);
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Tick { node, life } => self.tick(node, life),
            Event::Advance { node, life } => self.advance(node, life),
            Event::Deliver(message) => self.deliver(*message),
            Event::Ask { client } => self.ask(client),
            Event::Request {
                client,
                sequence,
                node,
                data,
            } => self.request(client, sequence, node, data),
            Event::Answer {
                client,
                sequence,
                answer,
            } => self.answer(client, sequence, answer),
            Event::LosePatience { client, attempt } => self.lose_patience(client, attempt),
            Event::Read { node } => self.begin_read(node),
            Event::SnapshotArrives(transfer) => self.snapshot_arrives(*transfer),
            Event::SnapshotReported {
                node,
                life,
                to,
                is_in_place,
            } => self.snapshot_reported(node, life, to, is_in_place),
            Event::SnapshotFinished { node, life } => self.snapshot_finished(node, life),
            Event::Restart { node } => self.restart(node),
            Event::CalmDown => self.calm_down(),
            Event::EmptyDisk { node } => self.empty_disk(node),
            Event::Crash
            | Event::CrashAnyway { .. }
            | Event::Partition
            | Event::Mend
            | Event::ChangeMembers
            | Event::TransferLeadership
            | Event::FillDisk
            | Event::LoseDisk => self.fault(event),
        }
    }

    fn after(&mut self, us: u64, event: Event) {
        self.made += 1;
        self.queue.push(Reverse(Due {
            at_us: self.now_us + us,
            number: self.made,
            event,
        }));
    }

    fn node_ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    fn running_ids(&self) -> Vec<u64> {
        let running = self.nodes.values().filter(|node| node.running.is_some());
        running.map(|node| node.id).collect()
    }

    /// Who leads with the greatest term.
    fn leader(&self) -> Option<u64> {
        let leaders = self.nodes.values().filter_map(|node| {
            let role = node.running.as_ref()?.replica.role();
            matches!(role, Role::Leader { .. }).then_some((role.term(), node.id))
        });
        leaders.max().map(|(_, id)| id)
    }

    fn is_calm(&self) -> bool {
        self.deadline_us.is_some()
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        let now_us = self.now_us;
        if let Some(lines) = &mut self.lines {
            lines.push(format!(
                "{:>6}.{:03} {}",
                now_us / 1_000,
                now_us % 1_000,
                line()
            ));
        }
    }

    fn mix(&mut self, value: u64) {
        self.fingerprint = (self.fingerprint ^ value)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(17);
    }

    fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn summary(mut self) -> Summary {
        self.seen.insert("terms with a leader", self.checks.terms());
        Summary {
            events: self.made,
            simulated_us: self.now_us,
            fingerprint: self.fingerprint,
            seen: self.seen,
        }
    }
}
