//! What may go wrong in a schedule: drawn first, so that schedules differ in kind and not in detail alone.

use convoy_consensus::{Mutation, ReplicaLimits};
use convoy_journal::JournalLimits;

use harness::random::Random;

/// Time between two ticks of a replica, microseconds.
pub(crate) const TICK_US: u64 = 50_000;
pub(crate) const ELECTION_TICKS: u32 = 6;
pub(crate) const HEARTBEAT_TICKS: u32 = 2;

/// Everything about a schedule that does not depend on its course.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) replicas: u64,
    pub(crate) mutation: Option<Mutation>,
    /// How long faults happen.
    pub(crate) disturbed_us: u64,
    pub(crate) network: NetworkPlan,
    pub(crate) crash: CrashPlan,
    /// What a write and a sync take.
    pub(crate) write_us: u64,
    pub(crate) sync_us: u64,
    /// Most time between an input and what is done about it.
    pub(crate) laziness_us: u64,
    /// Whether messages go through their bytes.
    pub(crate) is_encoded: bool,
    pub(crate) compact_after_bytes: u64,
    /// Mean time between steps of whoever changes members; None: nobody does.
    pub(crate) members_every_us: Option<u64>,
    pub(crate) transfer_every_us: Option<u64>,
    pub(crate) full_disk_every_us: Option<u64>,
    /// One replica's disk is lost or damaged for good.
    pub(crate) loses_a_disk: bool,
    pub(crate) clients: u64,
    /// Most time between an answer and a client's next command.
    pub(crate) think_us: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct NetworkPlan {
    pub(crate) loss_permille: u64,
    pub(crate) duplicate_permille: u64,
    /// Messages that take up to `slow_us` instead of `usual_us`.
    pub(crate) slow_permille: u64,
    pub(crate) usual_us: u64,
    pub(crate) slow_us: u64,
    /// Mean time between partitions; None: there are none.
    pub(crate) partition_every_us: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct CrashPlan {
    /// Mean time between crashes; None: there are none.
    pub(crate) every_us: Option<u64>,
    /// Crashes that take the machine, and what was not synced, with them.
    pub(crate) machine_permille: u64,
    /// Crashes in the middle of an operation on the disk.
    pub(crate) midway_permille: u64,
    /// Syncs that fail instead of a crash.
    pub(crate) sync_fails_permille: u64,
    pub(crate) most_down_us: u64,
}

impl Plan {
    pub(crate) fn draw(seed: u64, replicas: u64) -> Self {
        let mut random = Random::new(seed ^ 0x706c_616e);
        let random = &mut random;
        let sometimes = |random: &mut Random, permille, least, most| {
            let is_on = random.chance(permille);
            let value = random.between(least, most);
            is_on.then_some(value)
        };
        let members_every_us = sometimes(random, 400, 40_000, 250_000);
        Self {
            seed,
            replicas,
            mutation: None,
            disturbed_us: random.between(1_200_000, 2_800_000),
            network: NetworkPlan {
                loss_permille: sometimes(random, 500, 1, 150).unwrap_or(0),
                duplicate_permille: sometimes(random, 400, 1, 150).unwrap_or(0),
                slow_permille: sometimes(random, 500, 1, 200).unwrap_or(0),
                usual_us: random.pick(&[500, 2_000, 8_000, 30_000]),
                slow_us: random.between(20_000, 700_000),
                partition_every_us: sometimes(random, 600, 150_000, 1_000_000),
            },
            crash: CrashPlan {
                every_us: sometimes(random, 750, 80_000, 900_000),
                machine_permille: random.pick(&[0, 500, 1_000]),
                midway_permille: random.pick(&[0, 300, 800]),
                sync_fails_permille: random.pick(&[0, 0, 200]),
                most_down_us: random.between(5_000, 900_000),
            },
            write_us: random.between(1, 50),
            sync_us: random.pick(&[50, 500, 5_000, 25_000]),
            laziness_us: random.pick(&[0, 300, 3_000, 40_000]),
            is_encoded: random.chance(250),
            compact_after_bytes: random.pick(&[1_500, 4_000, 12_000, 60_000]),
            members_every_us,
            transfer_every_us: sometimes(random, 250, 100_000, 900_000),
            full_disk_every_us: sometimes(random, 100, 200_000, 1_500_000),
            loses_a_disk: random.chance(150),
            clients: random.between(1, 4),
            think_us: random.pick(&[2_000, 15_000, 60_000]),
        }
    }

    /// Small files, so that segments end, the log is compacted, and the disk gets full.
    pub(crate) fn limits(&self) -> ReplicaLimits {
        ReplicaLimits {
            max_entry_bytes: 2_500,
            max_message_bytes: 4_000,
            max_inflight_messages: 8,
            max_uncommitted_bytes: 16_000,
            max_waiting_bytes: 16_000,
            compact_after_bytes: self.compact_after_bytes,
            journal: JournalLimits {
                segment_bytes: 8_192,
                reserve_bytes: 8_192,
                refuse_below_bytes: 32_768,
            },
        }
    }
}
