//! What can go wrong: at the start, for good, with a message, with a proposal.

use convoy_journal::{Identity, JournalError};

use crate::config::ReplicaId;

/// A replica that could not be created or opened.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// A value of the configuration can't be used.
    #[error("{problem}")]
    Config {
        /// Which, and why.
        problem: String,
    },
    /// The disk, or what is on it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The folder holds a replica already.
    #[error("this folder holds {id} already; it is opened, not created again")]
    AlreadyCreated {
        /// Which one.
        id: ReplicaId,
    },
    /// The folder holds no replica, or one whose creation was interrupted.
    #[error(
        "this folder holds no replica: a new one is created first. If {id} was here before, its disk was emptied: it must \
         come back under a new id, added as a learner"
    )]
    NotCreated {
        /// Which one was looked for.
        id: ReplicaId,
    },
    /// The folder belongs to another replica or cluster.
    #[error(
        "this folder belongs to replica {} of cluster {:016x}, and the configuration says replica {} of cluster {:016x}",
        found.replica, found.cluster, wanted.replica, wanted.cluster
    )]
    OtherIdentity {
        /// Written in the folder.
        found: Identity,
        /// From the configuration.
        wanted: Identity,
    },
    /// There is a log, but the file that says when the folder was created is gone.
    #[error(
        "this folder holds a log up to entry {last_index}, but {file} is missing: put it back, or replace this replica by a \
         new one"
    )]
    BirthsMissing {
        /// The file.
        file: &'static str,
        /// Where the log ends.
        last_index: u64,
    },
    /// The file that says when the folder was created is damaged.
    #[error("{file} is damaged: {found}; restore it, or replace this replica by a new one")]
    BirthsDamaged {
        /// The file.
        file: &'static str,
        /// What is wrong.
        found: String,
    },
    /// A voter of a new cluster that is not among its voters.
    #[error("{id} is not among the voters of the new cluster: {voters:?}")]
    NotAmongVoters {
        /// Which one.
        id: ReplicaId,
        /// The voters.
        voters: Vec<u64>,
    },
    /// raft-rs did not accept what was found.
    #[error("raft-rs cannot begin with what is on the disk: {0}")]
    Raft(raft::Error),
}

/// Why a replica can't go on. The process ends; it never tries again with the same `Replica`.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The disk: what is durable is unknown, or it is full beyond its reserve.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Acknowledged entries are gone.
    #[error(
        "{leader} knows that this replica had acknowledged entries up to {acknowledged}, and its log ends with {last_index}: \
         the disk lost synced writes; it must come back empty, under a new id"
    )]
    LostWrites {
        /// Who knows it.
        leader: ReplicaId,
        /// Up to which entry.
        acknowledged: u64,
        /// Where the log ends.
        last_index: u64,
    },
    /// The others know this id with another folder.
    #[error(
        "{by} knows {own_id} with another folder (birth {known:016x}, this one has {own:016x}): a replica whose disk was lost \
         must come back under a new id, added as a learner"
    )]
    Impostor {
        /// Who refused.
        by: ReplicaId,
        /// Who was refused.
        own_id: ReplicaId,
        /// The folder it knows.
        known: u64,
        /// This folder.
        own: u64,
    },
    /// A committed entry can't be read.
    #[error(
        "committed entry {index} cannot be read: {reason}; a newer release may have written it"
    )]
    MalformedEntry {
        /// Which.
        index: u64,
        /// Why.
        reason: String,
    },
    /// It stopped before.
    #[error("this replica has stopped after an earlier failure")]
    Stopped,
}

/// A message that was not handed to Raft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// From another cluster.
    #[error("a message of cluster {given:016x} came to cluster {own:016x}")]
    OtherCluster {
        /// The sender's.
        given: u64,
        /// Ours.
        own: u64,
    },
    /// For another replica.
    #[error("a message for {to} came to {own}")]
    Misdirected {
        /// Whom it is for.
        to: ReplicaId,
        /// Who we are.
        own: ReplicaId,
    },
    /// From a replica with our own id.
    #[error("a message came from another {own}: two folders have the same id")]
    OwnId {
        /// Who we are.
        own: ReplicaId,
    },
    /// The sender's id is known with another folder.
    #[error(
        "{from} has another folder than before (birth {given:016x}, known is {known:016x}): a replica whose disk was lost must \
         come back under a new id"
    )]
    OtherBirth {
        /// Who.
        from: ReplicaId,
        /// Its folder as it is known.
        known: u64,
        /// Its folder as the message says.
        given: u64,
    },
    /// An answer from a replica that does not belong to the group.
    #[error("an answer came from {from}, which does not belong to this cluster")]
    UnknownSender {
        /// Who.
        from: ReplicaId,
    },
    /// Asked for a vote while nothing was ever logged here: only a voter that lost its disk is asked that.
    #[error("{from} asks for a vote, and nothing was ever logged here")]
    NothingLogged {
        /// Who asks.
        from: ReplicaId,
    },
    /// Brings something to keep, and the disk is nearly full. Votes and what a new leader needs are still taken.
    #[error("a message of {from} is not taken: {reason}")]
    DiskFull {
        /// Who sent them.
        from: ReplicaId,
        /// With the numbers.
        reason: String,
    },
    /// Breaks the rules of the protocol.
    #[error("a message of {from} makes no sense: {reason}")]
    Malformed {
        /// Who sent it.
        from: ReplicaId,
        /// What is wrong.
        reason: String,
    },
    /// This replica has stopped.
    #[error("this replica has stopped after an earlier failure")]
    Stopped,
}

/// A proposal or read that was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It did not happen and never will: another replica orders commands.
    #[error("{}", not_leader(*leader))]
    NotLeader {
        /// Who does, as far as is known.
        leader: Option<ReplicaId>,
    },
    /// It may have happened, or happen yet: leadership was lost while it was on its way.
    #[error("leadership was lost while the command was on its way: it may or may not be applied")]
    Unknown,
    /// It did not happen: too large.
    #[error("the command has {bytes} bytes, {limit_bytes} are allowed")]
    TooLarge {
        /// How large.
        bytes: u64,
        /// What is allowed.
        limit_bytes: u64,
    },
    /// It did not happen: too much is waiting.
    #[error("commands of {waiting_bytes} bytes are waiting already, {limit_bytes} are allowed")]
    Busy {
        /// How much.
        waiting_bytes: u64,
        /// What is allowed.
        limit_bytes: u64,
    },
    /// It did not happen: the disk is nearly full.
    #[error("{reason}")]
    DiskFull {
        /// With the numbers.
        reason: String,
    },
    /// It did not happen: leadership is being handed over.
    #[error("leadership is being handed over to {to}")]
    Transferring {
        /// To whom.
        to: ReplicaId,
    },
    /// The read was not confirmed in time.
    #[error("no majority confirmed the read within {ticks} ticks")]
    TimedOut {
        /// How long it waited.
        ticks: u64,
    },
    /// The change did not happen: the leader is new, and what its predecessor changed may not be applied yet.
    #[error("the leader is new and has committed nothing yet; try again")]
    NotSettled,
    /// The change did not happen: one is under way.
    #[error("another change of members is under way")]
    ChangeUnderWay,
    /// The change did not happen: it makes no sense for these members.
    #[error("{reason}")]
    NoSuchChange {
        /// Why, with both sides.
        reason: String,
    },
    /// The promotion did not happen: the learner lags behind.
    #[error("{replica} has entries up to {matched} of {last_index}{}; promote it when it has caught up", silent(*is_active))]
    NotCaughtUp {
        /// Who.
        replica: ReplicaId,
        /// How far it is.
        matched: u64,
        /// How far the leader is.
        last_index: u64,
        /// Whether it was heard of lately.
        is_active: bool,
    },
    /// The change did not happen: it would remove the leader.
    #[error("{leader} leads: transfer leadership before it is removed")]
    RemovesLeader {
        /// Who leads.
        leader: ReplicaId,
    },
    /// This replica has stopped.
    #[error("this replica has stopped after an earlier failure")]
    Stopped,
}

fn not_leader(leader: Option<ReplicaId>) -> String {
    leader.map_or_else(
        || "no leader is known at the moment".to_owned(),
        |leader| format!("{leader} leads"),
    )
}

fn silent(is_active: bool) -> &'static str {
    if is_active {
        ""
    } else {
        " and was not heard of lately"
    }
}
