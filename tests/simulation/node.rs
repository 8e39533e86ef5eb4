//! One replica with its machine: what is lost with the process, and what with nothing but the disk.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use convoy_consensus::{ProposalId, ReadId, Replica, ReplicaConfig, ReplicaError, ReplicaId};
use convoy_journal::{Journal, JournalError, SimulatedDisk, SnapshotMeta, SnapshotWriter};

use crate::checks::{Violation, violated};
use crate::plan::{ELECTION_TICKS, HEARTBEAT_TICKS, Plan, TICK_US};
use crate::state::State;

/// All replicas of all schedules belong to it.
const CLUSTER: u64 = 0x00c0_ffee;

/// A machine.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) disk: SimulatedDisk,
    /// The replicas of the new cluster; none for one that joins.
    founders: Vec<ReplicaId>,
    pub(crate) is_created: bool,
    /// Its disk is lost or damaged for good, and the others hold its place.
    pub(crate) is_lost: bool,
    /// Its disk is full for a while.
    pub(crate) is_full: bool,
    /// A sync of its disk fails in this life.
    pub(crate) fails_syncs: bool,
    /// What the last start cut from the end of the log.
    pub(crate) torn_bytes: u64,
    /// Starts of its process.
    pub(crate) life: u64,
    /// Of its folder, since its process started first.
    pub(crate) birth: u64,
    pub(crate) running: Option<Running>,
    /// Its disk works until then.
    pub(crate) busy_until: u64,
    pub(crate) is_advance_due: bool,
}

/// A process.
pub(crate) struct Running {
    pub(crate) replica: Replica<SimulatedDisk>,
    pub(crate) state: State,
    pub(crate) asked: BTreeMap<ProposalId, Asked>,
    /// With what was known before it began.
    pub(crate) reads: BTreeMap<ReadId, u64>,
    /// Confirmed reads that wait for the state: what was known before, what was confirmed.
    pub(crate) confirmed: Vec<(u64, u64)>,
    pub(crate) writing: Option<Writing>,
    next_id: u64,
}

/// Who waits for a proposal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) client: u64,
    pub(crate) sequence: u64,
}

/// A snapshot on its way to the disk.
pub(crate) struct Writing {
    pub(crate) meta: SnapshotMeta,
    pub(crate) writer: SnapshotWriter<SimulatedDisk>,
}

/// How a start ended.
pub(crate) enum Started {
    Running,
    /// The machine stopped meanwhile.
    Crashed,
    /// There is no room on the disk; another time perhaps.
    NoRoom,
    /// The disk's damage was found.
    FoundDamage(String),
}

impl Node {
    pub(crate) fn new(id: u64, founders: Vec<ReplicaId>, plan: &Plan) -> Self {
        let disk = SimulatedDisk::new(plan.seed.wrapping_mul(31).wrapping_add(id));
        disk.set_latency(plan.write_us, plan.sync_us);
        Self {
            id,
            disk,
            founders,
            is_created: false,
            is_lost: false,
            torn_bytes: 0,
            is_full: false,
            fails_syncs: false,
            life: 0,
            birth: 0,
            running: None,
            busy_until: 0,
            is_advance_due: false,
        }
    }

    /// Starts the process on what the disk holds.
    pub(crate) fn start(&mut self, plan: &Plan) -> Result<Started, Violation> {
        self.life += 1;
        self.torn_bytes = 0;
        self.is_advance_due = false;
        let config = self.config(plan);
        let disk = Arc::new(self.disk.clone());
        let started = if self.is_created {
            Replica::open(disk, config)
        } else {
            Replica::create(disk, config, &self.founders)
        };
        let (mut replica, start) = match started {
            Ok(started) => started,
            Err(error) => return self.failed_start(error),
        };
        self.is_created = true;
        self.torn_bytes = start.torn_bytes;
        self.birth = replica.birth();
        replica.set_mutation(plan.mutation);
        let state = match &start.restore {
            None => State::default(),
            Some(meta) => match read_snapshot(&replica, meta) {
                Ok(payload) => State::decode(&payload),
                Err(_) if self.disk.has_crashed() => return Ok(Started::Crashed),
                Err(error) if self.is_lost => return Ok(Started::FoundDamage(error)),
                Err(error) => {
                    return violated(format!(
                        "replica {} cannot read its snapshot: {error}",
                        self.id
                    ));
                }
            },
        };
        self.running = Some(Running {
            replica,
            state,
            asked: BTreeMap::new(),
            reads: BTreeMap::new(),
            confirmed: Vec::new(),
            writing: None,
            next_id: 0,
        });
        Ok(Started::Running)
    }

    fn failed_start(&self, error: ReplicaError) -> Result<Started, Violation> {
        if self.disk.has_crashed() {
            return Ok(Started::Crashed);
        }
        if self.is_lost {
            return Ok(Started::FoundDamage(error.to_string()));
        }
        if matches!(&error, ReplicaError::Journal(error) if error.is_full()) {
            return Ok(Started::NoRoom);
        }
        violated(format!("replica {} cannot start: {error}", self.id))
    }

    fn config(&self, plan: &Plan) -> ReplicaConfig {
        let seed = plan.seed ^ (self.id << 48) ^ (self.life << 32);
        ReplicaConfig {
            id: ReplicaId(self.id),
            cluster: CLUSTER,
            tick: Duration::from_micros(TICK_US),
            election_ticks: ELECTION_TICKS,
            heartbeat_ticks: HEARTBEAT_TICKS,
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            limits: plan.limits(),
        }
    }

    /// The process is gone. With the machine goes what was not synced.
    pub(crate) fn crash(&mut self, with_machine: bool) {
        self.running = None;
        self.is_advance_due = false;
        self.fails_syncs = false;
        self.disk = if with_machine {
            self.disk.crash()
        } else {
            self.disk.kill()
        };
    }

    /// Where the log on the disk ends, while the process is down; none if it can't be opened.
    pub(crate) fn end_of_log(&self, plan: &Plan) -> Option<u64> {
        let disk = Arc::new(self.disk.clone());
        let (_, found) = Journal::open(disk, plan.limits().journal).ok()?;
        Some(found.last().index)
    }

    /// The disk is lost, and an empty one takes its place. It is created again as it was, or as one that joins.
    pub(crate) fn wipe(&mut self, plan: &Plan, joins: bool) {
        let seed = plan.seed.wrapping_mul(37).wrapping_add(self.id);
        self.disk = SimulatedDisk::new(seed);
        self.disk.set_latency(plan.write_us, plan.sync_us);
        self.is_created = false;
        self.is_lost = true;
        if joins {
            self.founders.clear();
        }
    }
}

impl Running {
    pub(crate) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Begins to write a snapshot of the state.
    pub(crate) fn begin_snapshot(&mut self) -> Result<(), String> {
        let Some(meta) = self.replica.snapshot_meta() else {
            return Ok(());
        };
        let snapshots = self.replica.snapshots();
        let mut writer = snapshots.writer(meta.clone()).map_err(describe)?;
        writer
            .write_all(&self.state.encode())
            .map_err(|error| error.to_string())?;
        self.writing = Some(Writing { meta, writer });
        Ok(())
    }

    /// A leader's snapshot is put in its place.
    pub(crate) fn place_snapshot(&self, meta: &SnapshotMeta, payload: &[u8]) -> Result<(), String> {
        let snapshots = self.replica.snapshots();
        let mut writer = snapshots.writer(meta.clone()).map_err(describe)?;
        writer
            .write_all(payload)
            .map_err(|error| error.to_string())?;
        writer.finish().map_err(describe)
    }
}

/// The process of this machine, if it runs.
pub(crate) fn running(nodes: &mut BTreeMap<u64, Node>, id: u64) -> Option<&mut Running> {
    nodes.get_mut(&id)?.running.as_mut()
}

fn describe(error: JournalError) -> String {
    error.to_string()
}

pub(crate) fn read_snapshot(
    replica: &Replica<SimulatedDisk>,
    meta: &SnapshotMeta,
) -> Result<Vec<u8>, String> {
    let mut reader = replica.snapshots().reader(meta).map_err(describe)?;
    let mut payload = Vec::new();
    reader
        .read_to_end(&mut payload)
        .map_err(|error| error.to_string())?;
    Ok(payload)
}
