//! The boundary behind which commands are ordered and kept.
//!
//! The leader loop hands commands over and applies what comes back, in the order in which it comes back; it cannot tell
//! whether that took a function call or a majority of machines.

#[cfg(test)]
mod in_memory;

use convoy_consensus::{Members, MembershipChange, Rejected, Role};
use convoy_journal::SnapshotMeta;
use convoy_state_machine::{Cluster, Envelope};

pub(crate) use convoy_consensus::{ProposalId, ReadId};
#[cfg(test)]
pub(crate) use in_memory::InMemoryLog;

/// What happens to the log, in the order in which it has to be taken.
#[derive(Debug)]
pub(crate) enum LogEvent {
    /// Another state takes the place of what was applied so far.
    Restored(Box<Cluster>),
    /// A command is in the log for good. The proposal, if it was made here and somebody may wait for it.
    Committed {
        proposal: Option<ProposalId>,
        envelope: Envelope,
    },
    /// What was told so far is the state after this entry.
    Applied(u64),
    /// A change of members is in the log for good.
    Changed(ProposalId),
    /// A proposal was not accepted, or it is not known whether it was.
    Rejected(ProposalId, Rejected),
    /// A read may be answered from the state after this entry, or not at all.
    ReadReady(ReadId, Result<u64, Rejected>),
    MembersChanged(Members),
    RoleChanged(Role),
    /// The state as it is now should be saved under this name.
    SnapshotWanted(SnapshotMeta),
}

/// A replicated log, as the leader loop sees it. No call waits.
pub(crate) trait Log: Send + 'static {
    /// Hands a command over; it comes back committed, or is rejected.
    fn propose(&mut self, envelope: Envelope) -> ProposalId;

    /// Asks from when on a read may be answered here.
    fn read(&mut self) -> ReadId;

    /// Changes who belongs to the cluster; answered as changed or rejected.
    fn change(&mut self, change: MembershipChange) -> ProposalId;

    /// Begins to hand leadership over to whoever has caught up best.
    fn hand_over(&mut self);

    /// Saves the state beside everything else.
    fn save(&mut self, meta: SnapshotMeta, cluster: Cluster);

    /// Says where the coordinators are, from the state that was just applied.
    fn publish_addresses(&mut self, cluster: &Cluster);

    /// What the log can tell at once.
    fn next_event(&mut self) -> Option<LogEvent>;
}
