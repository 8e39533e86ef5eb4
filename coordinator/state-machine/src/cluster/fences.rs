//! Whose words count: every report names its worker's life, its generation and its attempt, or its agent's life.

use convoy_common::ids::WorkerRef;

use super::Cluster;
use crate::command::{AgentRef, Fence};
use crate::job::{AssignedWorker, Job};
use crate::records::GenerationRecord;
use crate::refusal::Refusal;

impl Cluster {
    /// The job and generation of a report: the worker is the current life of a member of that generation, which this
    /// attempt formed.
    pub(super) fn fenced(&self, by: &Fence) -> Result<(&Job, &GenerationRecord), Refusal> {
        let Fence {
            worker,
            generation: given,
            attempt,
        } = by;
        let job = self.training_job(&worker.job)?;
        self.current_worker(worker)?;
        let Some(generation) = job.generation(*given) else {
            return Err(Refusal::StaleGeneration {
                job: job.id.clone(),
                given: *given,
                current: job.current_generation(),
            });
        };
        if generation.attempt != *attempt {
            return Err(Refusal::WrongAttempt {
                job: job.id.clone(),
                generation: *given,
                given: *attempt,
                formed: generation.attempt,
            });
        }
        if !generation
            .members
            .iter()
            .any(|member| member.worker == *worker)
        {
            return Err(Refusal::NotAMember {
                worker: worker.clone(),
                generation: *given,
            });
        }
        Ok((job, generation))
    }

    /// As [`Cluster::fenced`], and the generation is the newest one in which work was reported.
    pub(super) fn fenced_newest(&self, by: &Fence) -> Result<&Job, Refusal> {
        let (job, generation) = self.fenced(by)?;
        let given = generation.number;
        match job.newest_started() {
            Some(newest) if newest.number == given => Ok(job),
            Some(newest) if newest.number > given => Err(Refusal::StaleGeneration {
                job: job.id.clone(),
                given,
                current: newest.number,
            }),
            Some(_) | None => Err(Refusal::NotStarted {
                job: job.id.clone(),
                generation: given,
            }),
        }
    }

    /// A worker that this agent's machine runs; the agent is the one that speaks for the machine now.
    pub(super) fn fenced_process(
        &self,
        agent: &AgentRef,
        worker: &WorkerRef,
    ) -> Result<&AssignedWorker, Refusal> {
        self.current_agent(agent)?;
        let (_, assigned) = self.current_worker(worker)?;
        if assigned.node != agent.node {
            return Err(Refusal::OnAnotherNode {
                worker: worker.clone(),
                given: agent.node.clone(),
                current: assigned.node.clone(),
            });
        }
        Ok(assigned)
    }
}
