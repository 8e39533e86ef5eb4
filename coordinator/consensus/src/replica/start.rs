//! Creation, and what comes back from the disk.

use std::sync::Arc;

use convoy_common::ids::ReplicaId;
use convoy_journal::{
    Disk, Entry, EntryKind, HardState, Identity, Journal, Position, Recovered, Snapshots,
};
use raft::{Config, RawNode, ReadOnlyOption};

use super::{Elections, Replica};
use crate::births::{self, Births};
use crate::config::ReplicaConfig;
use crate::error::ReplicaError;
use crate::logger;
use crate::membership::{self, Members};
use crate::output::Start;
use crate::payload::Author;
use crate::proposals::Proposals;
use crate::random::Random;
use crate::reads::Reads;
use crate::storage::LogStore;
use crate::wire::{from_journal, hard_state_from_journal};

/// The term of the entries that found a cluster; leaders have greater ones.
pub(super) const FOUNDING_TERM: u64 = 1;

/// What is drawn from the seed, each from a stream of its own.
struct Drawn {
    birth: u64,
    life: u64,
    elections: u64,
}

impl Drawn {
    fn from(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            birth: random.next(),
            life: random.next(),
            elections: random.next(),
        }
    }
}

impl<D: Disk> Replica<D> {
    /// Creates a replica in an empty folder. `voters` are those of a new cluster, the same for each of them; none: it
    /// joins an existing cluster, whose leader adds it as a learner. A creation that was interrupted is finished.
    ///
    /// A voter whose disk was lost must not be created again under its id: it has forgotten what it promised.
    ///
    /// # Errors
    /// If the folder holds a replica already or belongs to another one, and if the disk fails.
    pub fn create(
        disk: Arc<D>,
        config: ReplicaConfig,
        voters: &[ReplicaId],
    ) -> Result<(Self, Start), ReplicaError> {
        config.check()?;
        let mut founders: Vec<u64> = voters.iter().map(|voter| voter.0).collect();
        founders.sort_unstable();
        founders.dedup();
        if !founders.is_empty() && !founders.contains(&config.id.0) {
            return Err(ReplicaError::NotAmongVoters {
                id: config.id,
                voters: founders,
            });
        }
        if Births::open(Arc::clone(&disk))?.is_some() {
            return Err(ReplicaError::AlreadyCreated { id: config.id });
        }
        let (mut journal, recovered) = Journal::open(Arc::clone(&disk), config.limits.journal)?;
        match recovered.identity {
            Some(found) => check_identity(found, &config)?,
            None => journal.initialise(identity(&config))?,
        }
        let founding = founding_entries(&founders);
        let found = &recovered.entries;
        if !founding.starts_with(found) || recovered.start != Position::default() {
            return Err(ReplicaError::BirthsMissing {
                file: births::FILE,
                last_index: recovered.last().index,
            });
        }
        let hard_state = HardState {
            term: FOUNDING_TERM,
            vote: 0,
            commit: founding.len() as u64,
        };
        if !founding.is_empty() && recovered.hard_state != hard_state {
            journal.append(Some(hard_state), &founding[found.len()..], true)?;
        }
        drop(journal);
        let drawn = Drawn::from(config.seed);
        Births::create(Arc::clone(&disk), config.id.0, drawn.birth)?;
        Self::open(disk, config)
    }

    /// Opens the replica in this folder. Commands after the snapshot are handed out again as they become known to be
    /// committed.
    ///
    /// # Errors
    /// If there is none, if the folder belongs to another replica, if anything that was durable is damaged.
    pub fn open(disk: Arc<D>, config: ReplicaConfig) -> Result<(Self, Start), ReplicaError> {
        config.check()?;
        let snapshots = Snapshots::open(Arc::clone(&disk))?;
        let (journal, recovered) = Journal::open(Arc::clone(&disk), config.limits.journal)?;
        let Some(found) = recovered.identity else {
            return Err(ReplicaError::NotCreated { id: config.id });
        };
        check_identity(found, &config)?;
        let Some(births) = Births::open(disk)? else {
            let last_index = recovered.last().index;
            return Err(if last_index == 0 {
                ReplicaError::NotCreated { id: config.id }
            } else {
                ReplicaError::BirthsMissing {
                    file: births::FILE,
                    last_index,
                }
            });
        };
        let birth = births
            .of(config.id.0)
            .ok_or_else(|| ReplicaError::BirthsDamaged {
                file: births::FILE,
                found: format!("it does not name replica {}", config.id),
            })?;
        let start = Start {
            restore: recovered.snapshot.clone(),
            torn_bytes: recovered.torn_bytes,
            set_aside: recovered.set_aside.clone(),
        };
        let parts = Parts {
            birth,
            births,
            journal,
            snapshots,
        };
        Ok((Self::assemble(config, parts, recovered)?, start))
    }

    fn assemble(
        config: ReplicaConfig,
        parts: Parts<D>,
        recovered: Recovered,
    ) -> Result<Self, ReplicaError> {
        let drawn = Drawn::from(config.seed);
        let snapshot = recovered.snapshot.as_ref();
        let applied = snapshot.map_or(Position::default(), |meta| meta.position());
        let members = snapshot
            .map(|meta| Members::from_conf_state(&membership::conf_state(meta)))
            .unwrap_or_default();
        let hard_state = recovered.hard_state;
        let raw = raw_node(&config, recovered, applied.index)?;
        let mut replica = Self {
            author: Author {
                replica: config.id.0,
                life: drawn.life,
            },
            birth: parts.birth,
            births: parts.births,
            bytes_since_snapshot: raw.store().bytes_after(applied.index),
            raw,
            journal: parts.journal,
            snapshots: parts.snapshots,
            hard_state,
            members,
            applied,
            proposals: Proposals::default(),
            reads: Reads::default(),
            refusals: Vec::new(),
            elections: Elections::new(drawn.elections, config.election_ticks),
            now: 0,
            no_room: None,
            reading_from: (0, 0),
            announced_role: None,
            are_members_new: true,
            condemned: None,
            has_stopped: false,
            mutation: None,
            config,
        };
        replica.look_for_room();
        replica.settle_timeout(true);
        Ok(replica)
    }
}

/// What is on the disk, opened.
struct Parts<D: Disk> {
    birth: u64,
    births: Births<D>,
    journal: Journal<D>,
    snapshots: Snapshots<D>,
}

fn identity(config: &ReplicaConfig) -> Identity {
    Identity {
        cluster: config.cluster,
        replica: config.id.0,
    }
}

fn check_identity(found: Identity, config: &ReplicaConfig) -> Result<(), ReplicaError> {
    let wanted = identity(config);
    if found != wanted {
        return Err(ReplicaError::OtherIdentity { found, wanted });
    }
    Ok(())
}

/// One entry for each voter: raft-rs takes them one by one.
fn founding_entries(voters: &[u64]) -> Vec<Entry> {
    let indexes = 1..;
    let entries = voters.iter().zip(indexes).map(|(&voter, index)| Entry {
        index,
        term: FOUNDING_TERM,
        kind: EntryKind::Membership,
        data: membership::founding(voter),
    });
    entries.collect()
}

fn raw_node(
    config: &ReplicaConfig,
    recovered: Recovered,
    applied: u64,
) -> Result<RawNode<LogStore>, ReplicaError> {
    let limits = &config.limits;
    let election_tick = config.election_ticks as usize;
    let settings = Config {
        id: config.id.0,
        election_tick,
        heartbeat_tick: config.heartbeat_ticks as usize,
        applied,
        max_size_per_msg: limits.max_message_bytes,
        max_inflight_msgs: limits.max_inflight_messages,
        // A leader without a majority steps down, so that its clients look for another.
        check_quorum: true,
        // A replica that was cut off does not disturb the others when it comes back.
        pre_vote: true,
        min_election_tick: election_tick,
        max_election_tick: 2 * election_tick,
        read_only_option: ReadOnlyOption::Safe,
        // A follower learns what is committed from the next entry or heartbeat: nobody reads its state, and a message of
        // its own for each commit would double the messages of a write.
        skip_bcast_commit: true,
        // Loses data when set, see the crate's documentation.
        batch_append: false,
        priority: 0,
        max_uncommitted_size: limits.max_uncommitted_bytes,
        max_committed_size_per_ready: raft::NO_LIMIT,
    };
    let store = LogStore::new(
        hard_state_from_journal(recovered.hard_state),
        recovered.start,
        recovered.entries.into_iter().map(from_journal).collect(),
        recovered.snapshot,
    );
    RawNode::new(&settings, store, &logger::bridge()).map_err(ReplicaError::Raft)
}
