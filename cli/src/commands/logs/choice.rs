//! Whose logs are wanted.

use convoy_proto::v1;

use crate::words::one_line;

/// Which workers of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    All,
    Rank(u32),
    Worker(u32),
}

impl Choice {
    pub(super) fn of(rank: Option<u32>, worker: Option<u32>) -> Self {
        match (rank, worker) {
            (Some(rank), _) => Self::Rank(rank),
            (None, Some(worker)) => Self::Worker(worker),
            (None, None) => Self::All,
        }
    }

    /// The workers that are meant, or why there are none.
    pub(super) fn among(self, view: &v1::JobView) -> Result<Vec<&v1::WorkerView>, String> {
        let job = &view.job_id;
        if view.workers.is_empty() {
            let reason = one_line(&view.reason);
            return Err(format!(
                "no worker of job {job} has a slot yet: it {reason}"
            ));
        }
        let workers = view.workers.iter();
        let (chosen, name): (Vec<_>, String) = match self {
            Self::All => (workers.collect(), "worker".to_owned()),
            Self::Rank(_) if view.generation == 0 => {
                return Err(format!(
                    "the workers of job {job} have no ranks before its first generation: name one with --worker"
                ));
            }
            Self::Rank(rank) => (
                workers.filter(|worker| worker.rank == rank).collect(),
                format!("rank {rank}"),
            ),
            Self::Worker(id) => (
                workers.filter(|worker| worker.worker_id == id).collect(),
                format!("worker {id}"),
            ),
        };
        if chosen.is_empty() {
            let has = match view.workers.len() {
                1 => "worker 0".to_owned(),
                workers => format!("workers 0 to {}", workers - 1),
            };
            return Err(format!("job {job} has no {name}: it has {has}"));
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(generation: u64) -> v1::JobView {
        let worker = |worker_id, rank| v1::WorkerView {
            worker_id,
            rank,
            ..Default::default()
        };
        v1::JobView {
            job_id: "tiny-1".to_owned(),
            generation,
            workers: vec![worker(0, 1), worker(1, 0)],
            ..Default::default()
        }
    }

    fn chosen(choice: Choice, view: &v1::JobView) -> Result<Vec<u32>, String> {
        let workers = choice.among(view)?;
        Ok(workers.iter().map(|worker| worker.worker_id).collect())
    }

    #[test]
    fn workers_are_chosen_by_rank_or_number() {
        let view = view(1);
        assert_eq!(chosen(Choice::of(None, None), &view), Ok(vec![0, 1]));
        assert_eq!(chosen(Choice::of(Some(0), None), &view), Ok(vec![1]));
        assert_eq!(chosen(Choice::of(None, Some(0)), &view), Ok(vec![0]));
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let refused = |choice, view: &v1::JobView| chosen(choice, view).unwrap_err();
        let none = refused(Choice::Worker(7), &view(1));
        assert_eq!(none, "job tiny-1 has no worker 7: it has workers 0 to 1");
        assert!(refused(Choice::Rank(0), &view(0)).contains("name one with --worker"));
        let waiting = v1::JobView {
            workers: Vec::new(),
            reason: "waits for 1 more worker slot".to_owned(),
            ..view(0)
        };
        assert!(refused(Choice::All, &waiting).ends_with("it waits for 1 more worker slot"));
    }
}
