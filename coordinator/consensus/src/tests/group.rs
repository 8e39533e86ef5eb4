//! A few replicas on simulated disks; messages wait until they are delivered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use convoy_journal::{JournalLimits, SimulatedDisk};
use convoy_proto::raft::v1;

use crate::{
    Committed, Fatal, Members, MembershipChange, Output, ProposalId, ReadId, Refused, Rejected,
    Replica, ReplicaConfig, ReplicaError, ReplicaId, ReplicaLimits, Role, Start,
};

pub(super) const CLUSTER: u64 = 77;
pub(super) const ELECTION_TICKS: u32 = 6;

/// One replica and what it gave out so far.
pub(super) struct Member {
    pub(super) replica: Replica<SimulatedDisk>,
    pub(super) disk: SimulatedDisk,
    /// Commands, in order, since its state began.
    pub(super) applied: Vec<String>,
    pub(super) committed: Vec<Committed>,
    pub(super) applied_index: u64,
    pub(super) rejected: BTreeMap<ProposalId, Rejected>,
    pub(super) changed: BTreeMap<ProposalId, u64>,
    pub(super) reads: BTreeMap<ReadId, Result<u64, Rejected>>,
    pub(super) restored: Option<u64>,
    pub(super) snapshot_due: bool,
    pub(super) fatal: Option<Fatal>,
}

/// Replicas and the network between them.
pub(super) struct Group {
    pub(super) members: BTreeMap<u64, Member>,
    queue: VecDeque<v1::RaftMessage>,
    cut: BTreeSet<u64>,
    pub(super) refused: Vec<Refused>,
    pub(super) limits: ReplicaLimits,
    starts: u64,
    proposals: u64,
}

pub(super) fn limits() -> ReplicaLimits {
    ReplicaLimits {
        max_entry_bytes: 1_000,
        max_message_bytes: 2_000,
        max_inflight_messages: 16,
        max_uncommitted_bytes: 8_000,
        max_waiting_bytes: 8_000,
        compact_after_bytes: 1 << 30,
        journal: JournalLimits {
            segment_bytes: 8_192,
            reserve_bytes: 8_192,
            refuse_below_bytes: 40_000,
        },
    }
}

pub(super) fn config(id: u64, seed: u64, limits: ReplicaLimits) -> ReplicaConfig {
    ReplicaConfig {
        id: ReplicaId(id),
        cluster: CLUSTER,
        tick: Duration::from_millis(50),
        election_ticks: ELECTION_TICKS,
        heartbeat_ticks: 2,
        seed,
        limits,
    }
}

pub(super) fn ids(count: u64) -> Vec<ReplicaId> {
    (1..=count).map(ReplicaId).collect()
}

impl Member {
    fn new((replica, start): (Replica<SimulatedDisk>, Start), disk: SimulatedDisk) -> Self {
        let mut member = Self {
            replica,
            disk,
            applied: Vec::new(),
            committed: Vec::new(),
            applied_index: 0,
            rejected: BTreeMap::new(),
            changed: BTreeMap::new(),
            reads: BTreeMap::new(),
            restored: None,
            snapshot_due: false,
            fatal: None,
        };
        if let Some(meta) = start.restore {
            member.restore(&meta);
        }
        member
    }

    fn restore(&mut self, meta: &convoy_journal::SnapshotMeta) {
        let mut text = String::new();
        let mut reader = self.replica.snapshots().reader(meta).unwrap();
        reader.read_to_string(&mut text).unwrap();
        self.applied = text.split_terminator('\n').map(str::to_owned).collect();
        self.restored = Some(meta.index);
        self.applied_index = meta.index;
    }

    fn payload(&self) -> Vec<u8> {
        let lines = self.applied.iter().map(|line| format!("{line}\n"));
        lines.collect::<String>().into_bytes()
    }

    fn take(&mut self, out: Output) {
        if let Some(meta) = &out.restore {
            self.restore(meta);
        }
        for committed in &out.committed {
            self.applied
                .push(String::from_utf8(committed.data.to_vec()).unwrap());
        }
        self.committed.extend(out.committed);
        self.applied_index = out.applied;
        self.rejected.extend(out.rejected);
        self.changed.extend(out.changed);
        self.reads.extend(out.reads);
        self.snapshot_due = out.snapshot_due;
    }

    /// Writes a snapshot of what is applied.
    pub(super) fn write_snapshot(&mut self) -> u64 {
        let meta = self.replica.snapshot_meta().unwrap();
        let mut writer = self.replica.snapshots().writer(meta.clone()).unwrap();
        writer.write_all(&self.payload()).unwrap();
        writer.finish().unwrap();
        let index = meta.index;
        self.replica.snapshot_written(meta).unwrap();
        index
    }
}

impl Group {
    /// A new cluster of `count` voters, without a leader yet.
    pub(super) fn of(count: u64) -> Self {
        Self::with(count, limits())
    }

    pub(super) fn with(count: u64, limits: ReplicaLimits) -> Self {
        let mut group = Self {
            members: BTreeMap::new(),
            queue: VecDeque::new(),
            cut: BTreeSet::new(),
            refused: Vec::new(),
            limits,
            starts: 0,
            proposals: 0,
        };
        for id in 1..=count {
            group.create(id, &ids(count));
        }
        group.settle();
        group
    }

    /// A cluster that replica 1 leads.
    pub(super) fn led(count: u64) -> Self {
        let mut group = Self::of(count);
        group.elect(1);
        group
    }

    fn next_seed(&mut self) -> u64 {
        self.starts += 1;
        self.starts
    }

    pub(super) fn create(&mut self, id: u64, voters: &[ReplicaId]) {
        let config = config(id, self.next_seed(), self.limits);
        let disk = SimulatedDisk::new(id);
        let created = Replica::create(Arc::new(disk.clone()), config, voters).unwrap();
        self.members.insert(id, Member::new(created, disk));
    }

    /// Starts it again on what its disk holds.
    pub(super) fn restart(&mut self, id: u64) {
        self.try_restart(id).unwrap();
    }

    pub(super) fn try_restart(&mut self, id: u64) -> Result<(), ReplicaError> {
        let config = config(id, self.next_seed(), self.limits);
        let disk = self.members[&id].disk.crash();
        // The old process ends before the new one begins.
        self.members.remove(&id);
        let opened = Replica::open(Arc::new(disk.clone()), config)?;
        self.members.insert(id, Member::new(opened, disk));
        self.settle();
        Ok(())
    }

    pub(super) fn member(&mut self, id: u64) -> &mut Member {
        self.members.get_mut(&id).unwrap()
    }

    /// Nothing reaches it and nothing leaves it.
    pub(super) fn cut(&mut self, id: u64) {
        self.cut.insert(id);
    }

    pub(super) fn mend(&mut self, id: u64) {
        self.cut.remove(&id);
    }

    /// `id` notices that the connection from `from` broke.
    pub(super) fn lose_connection(&mut self, id: u64, from: u64) {
        let birth = self.member(from).replica.birth();
        let replica = &mut self.member(id).replica;
        replica.connection_lost(ReplicaId(from), birth);
    }

    /// One `advance`; its messages wait.
    pub(super) fn advance(&mut self, id: u64) {
        let member = self.members.get_mut(&id).unwrap();
        if member.fatal.is_some() {
            return;
        }
        let mut out = Output::default();
        let queue = &mut self.queue;
        let advanced = member
            .replica
            .advance(&mut |_, message| queue.push_back(message), &mut out);
        let snapshots = std::mem::take(&mut out.snapshots_to_send);
        match advanced {
            Ok(()) => member.take(out),
            Err(fatal) => member.fatal = Some(fatal),
        }
        for snapshot in snapshots {
            let is_in_place = self.carry_snapshot(id, &snapshot);
            self.member(id)
                .replica
                .snapshot_sent(snapshot.to, is_in_place);
        }
    }

    /// Copies the file, then hands the message in.
    fn carry_snapshot(&mut self, from: u64, snapshot: &crate::SnapshotToSend) -> bool {
        let to = snapshot.to.0;
        if self.cut.contains(&from) || self.cut.contains(&to) || !self.members.contains_key(&to) {
            return false;
        }
        let mut payload = Vec::new();
        let snapshots = self.members[&from].replica.snapshots();
        snapshots
            .reader(&snapshot.meta)
            .unwrap()
            .read_to_end(&mut payload)
            .unwrap();
        let receiver = self.member(to);
        let mut writer = receiver
            .replica
            .snapshots()
            .writer(snapshot.meta.clone())
            .unwrap();
        writer.write_all(&payload).unwrap();
        writer.finish().unwrap();
        receiver.replica.receive(snapshot.message.clone()).is_ok()
    }

    /// Delivers what waits, and what comes of it, until nothing is left.
    pub(super) fn settle(&mut self) {
        loop {
            self.advance_all();
            if self.queue.is_empty() {
                return;
            }
            while let Some(message) = self.queue.pop_front() {
                self.deliver(message);
            }
        }
    }

    fn deliver(&mut self, message: v1::RaftMessage) {
        if self.cut.contains(&message.from) || self.cut.contains(&message.to) {
            return;
        }
        if let Some(member) = self.members.get_mut(&message.to)
            && let Err(refused) = member.replica.receive(message)
        {
            self.refused.push(refused);
        }
    }

    /// Delivers what waits now, and nothing that comes of it.
    pub(super) fn deliver_all_once(&mut self) {
        for message in std::mem::take(&mut self.queue) {
            self.deliver(message);
        }
    }

    pub(super) fn advance_all(&mut self) {
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.advance(id);
        }
    }

    /// What waits is lost.
    pub(super) fn forget_all(&mut self) {
        self.queue.clear();
    }

    /// Messages that wait, without delivering them.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &v1::RaftMessage> {
        self.queue.iter()
    }

    /// So many ticks of everybody, each with its messages.
    pub(super) fn pass(&mut self, ticks: u32) {
        for _ in 0..ticks {
            for member in self.members.values_mut() {
                member.replica.tick();
            }
            self.settle();
        }
    }

    /// Makes it leader; the others have not heard of one for long.
    pub(super) fn elect(&mut self, id: u64) {
        self.member(id).replica.campaign();
        self.settle();
        assert!(self.is_leader(id), "{:?}", self.member(id).replica.role());
    }

    pub(super) fn is_leader(&self, id: u64) -> bool {
        matches!(self.members[&id].replica.role(), Role::Leader { .. })
    }

    pub(super) fn leader(&self) -> Option<u64> {
        let leaders = self.members.iter().filter(|(id, _)| self.is_leader(**id));
        leaders
            .max_by_key(|(_, member)| member.replica.role().term())
            .map(|(id, _)| *id)
    }

    fn next_proposal(&mut self) -> ProposalId {
        self.proposals += 1;
        ProposalId(self.proposals)
    }

    /// Proposes without delivering anything.
    pub(super) fn propose(&mut self, id: u64, text: &str) -> ProposalId {
        let proposal = self.next_proposal();
        self.member(id)
            .replica
            .propose(proposal, text.as_bytes().to_vec());
        proposal
    }

    /// Proposes, and delivers what comes of it.
    pub(super) fn write(&mut self, id: u64, text: &str) -> ProposalId {
        let proposal = self.propose(id, text);
        self.settle();
        proposal
    }

    pub(super) fn propose_change(&mut self, id: u64, change: MembershipChange) -> ProposalId {
        let proposal = self.next_proposal();
        self.member(id).replica.change_membership(proposal, change);
        proposal
    }

    pub(super) fn change(&mut self, id: u64, change: MembershipChange) -> ProposalId {
        let proposal = self.propose_change(id, change);
        self.settle();
        proposal
    }

    pub(super) fn membership(&self, id: u64) -> &Members {
        self.members[&id].replica.members()
    }

    pub(super) fn voters(&self, id: u64) -> Vec<u64> {
        self.membership(id)
            .voters
            .iter()
            .map(|voter| voter.0)
            .collect()
    }

    /// All of them have applied exactly these commands.
    pub(super) fn assert_applied(&self, ids: &[u64], expected: &[&str]) {
        for id in ids {
            assert_eq!(self.members[id].applied, expected, "of replica {id}");
        }
    }
}
