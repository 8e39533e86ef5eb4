//! Memberships: committed by compare-and-set, never a subset of what was wanted.

use std::collections::BTreeSet;

use convoy_common::ids::ShardIndex;

use super::Cluster;
use crate::command::{Answer, Fence, Formation, Outcome};
use crate::job::{Job, JobPhase, PhaseName, WorkerProcess};
use crate::records::{GenerationRecord, Member};
use crate::refusal::Refusal;

impl Cluster {
    pub(super) fn form_generation(&mut self, formation: Formation) -> Answer {
        self.check_formation(&formation)?;
        let Formation {
            job: id,
            parent,
            attempt,
            members,
            start,
            dataset,
            build,
        } = formation;
        let number = parent.next();
        let record = GenerationRecord {
            number,
            attempt,
            parent,
            start,
            members,
            started: false,
        };
        let job = self.changed_job(&id)?;
        job.generations.push(record);
        job.dataset = Some(dataset);
        job.build = build;
        self.jobs.set_phase(&id, JobPhase::Training);
        Ok(Outcome::Formed(number))
    }

    fn check_formation(&self, formation: &Formation) -> Result<(), Refusal> {
        let job = self.known_job(&formation.job)?;
        check_may_form(job)?;
        check_continues(job, formation)?;
        self.check_members(job, &formation.members)?;
        check_shards(job.spec.bounds().data_shards, &formation.members)
    }

    fn check_members(&self, job: &Job, members: &[Member]) -> Result<(), Refusal> {
        if members.len() != job.wanted as usize {
            let (given, wanted) = (members.len(), job.wanted);
            return Err(Refusal::WrongMemberCount {
                job: job.id.clone(),
                given,
                wanted,
            });
        }
        let mut named = BTreeSet::new();
        for (place, member) in members.iter().enumerate() {
            let worker = &member.worker;
            if worker.job != job.id {
                return Err(Refusal::UnknownJob {
                    job: worker.job.clone(),
                });
            }
            let (_, assigned) = self.current_worker(worker)?;
            if let WorkerProcess::Ended(obituary) = &assigned.process {
                let how = obituary.how.clone();
                return Err(Refusal::WorkerHasEnded {
                    worker: worker.clone(),
                    how,
                });
            }
            if member.rank.0 as usize != place {
                let (worker, rank) = (worker.clone(), member.rank);
                return Err(Refusal::RanksOutOfOrder {
                    worker,
                    place,
                    rank,
                });
            }
            if !named.insert(worker.worker) {
                return Err(Refusal::MemberNamedTwice {
                    worker: worker.clone(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn generation_started(&mut self, by: &Fence) -> Answer {
        let (job, generation) = self.fenced(by)?;
        let (given, current) = (generation.number, job.current_generation());
        if given != current {
            return Err(Refusal::StaleGeneration {
                job: job.id.clone(),
                given,
                current,
            });
        }
        if generation.started {
            return Ok(Outcome::Unchanged);
        }
        let newest = self.changed_job(&by.worker.job)?.generations.last_mut();
        if let Some(newest) = newest {
            newest.started = true;
        }
        Ok(Outcome::Done)
    }
}

/// The job has slots and is not over.
fn check_may_form(job: &Job) -> Result<(), Refusal> {
    let (id, phase) = (job.id.clone(), job.phase.name());
    match &job.phase {
        JobPhase::Forming | JobPhase::Training => Ok(()),
        JobPhase::Waiting => Err(Refusal::WrongPhase {
            job: id,
            phase,
            wanted: PhaseName::Forming,
        }),
        JobPhase::Finished { .. } | JobPhase::Failed { .. } | JobPhase::Cancelled { .. } => {
            Err(Refusal::JobOver { job: id, phase })
        }
    }
}

/// The formation continues the current generation: by a newer attempt, no earlier, on the same data.
fn check_continues(job: &Job, formation: &Formation) -> Result<(), Refusal> {
    let id = &job.id;
    let (given, current) = (formation.parent, job.current_generation());
    if given != current {
        return Err(Refusal::StaleGeneration {
            job: id.clone(),
            given,
            current,
        });
    }
    let (given, newest) = (formation.attempt, job.current_attempt());
    if given <= newest {
        return Err(Refusal::StaleAttempt {
            job: id.clone(),
            given,
            newest,
        });
    }
    let parent_start = job
        .newest_generation()
        .map_or(formation.start, |parent| parent.start);
    if formation.start < parent_start {
        let given = formation.start;
        return Err(Refusal::StartBeforeParent {
            job: id.clone(),
            given,
            parent_start,
        });
    }
    if let Some(pinned) = job
        .dataset
        .as_ref()
        .filter(|pinned| **pinned != formation.dataset)
    {
        let (given, pinned) = (formation.dataset.clone(), pinned.clone());
        return Err(Refusal::DatasetDiffers {
            job: id.clone(),
            given,
            pinned,
        });
    }
    Ok(())
}

/// Every shard has exactly one owner, and no shard beyond the last is owned.
fn check_shards(data_shards: u32, members: &[Member]) -> Result<(), Refusal> {
    let owned = || {
        members
            .iter()
            .flat_map(|member| member.shards.iter().copied())
    };
    let beyond = owned().filter(|shard| shard.0 >= data_shards);
    let own = (0..data_shards).map(ShardIndex);
    for shard in own.chain(beyond) {
        let owners = owned().filter(|other| *other == shard).count();
        if owners != 1 || shard.0 >= data_shards {
            return Err(Refusal::ShardsDoNotTile {
                shard,
                data_shards,
                owners,
            });
        }
    }
    Ok(())
}
