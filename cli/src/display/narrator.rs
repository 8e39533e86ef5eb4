//! What is worth a line of its own: what is new in a view compared with those before it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use convoy_checkpoint::MANIFEST_FILE;
use convoy_proto::v1;

use crate::words::{count, grouped, path_from, percent};

/// Remembers what was told.
#[derive(Debug)]
pub(crate) struct Narrator {
    /// Paths below it are told without its own.
    folder: PathBuf,
    generation: u64,
    /// Of the newest one told.
    evaluated: Option<u64>,
    /// Of the newest one told.
    checkpointed: Option<u64>,
    started: BTreeSet<(u32, u64)>,
    ended: BTreeSet<(u32, u64)>,
}

impl Narrator {
    /// For a reader who is in `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            generation: 0,
            evaluated: None,
            checkpointed: None,
            started: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    /// The lines that `view` adds, in the order in which things happened.
    pub(crate) fn tell(&mut self, view: &v1::JobView) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.workers(view));
        lines.extend(self.generation(view));
        lines.extend(self.evaluations(view));
        lines.extend(self.checkpoints(view));
        lines
    }

    fn generation(&mut self, view: &v1::JobView) -> Option<String> {
        if view.generation <= self.generation {
            return None;
        }
        self.generation = view.generation;
        let workers = count(view.workers.len() as u64, "worker");
        Some(format!(
            "training: generation {} with {workers}",
            view.generation
        ))
    }

    fn workers(&mut self, view: &v1::JobView) -> Vec<String> {
        let mut lines = Vec::new();
        for worker in &view.workers {
            let v1::WorkerView {
                worker_id,
                incarnation,
                pid,
                log_path,
                state,
                ..
            } = worker;
            let log = path_from(&self.folder, Path::new(log_path));
            if *pid > 0 && self.started.insert((*worker_id, *incarnation)) {
                lines.push(format!("worker {worker_id} started: pid {pid}, log {log}"));
            }
            // At a job's end all workers end, which is no news.
            let running = matches!(view.state(), v1::JobState::Forming | v1::JobState::Training);
            if running && state == "exited" && self.ended.insert((*worker_id, *incarnation)) {
                lines.push(format!("worker {worker_id} ended: pid {pid}, log {log}"));
            }
        }
        lines
    }

    fn evaluations(&mut self, view: &v1::JobView) -> Vec<String> {
        let told = self.evaluated;
        let new: Vec<_> = view
            .evaluations
            .iter()
            .filter(|e| told.is_none_or(|step| e.step > step))
            .collect();
        self.evaluated = new.last().map(|evaluation| evaluation.step).or(told);
        new.into_iter().map(evaluation_line).collect()
    }

    fn checkpoints(&mut self, view: &v1::JobView) -> Vec<String> {
        let told = self.checkpointed;
        let new: Vec<_> = view
            .checkpoints
            .iter()
            .filter(|c| told.is_none_or(|step| c.step > step))
            .collect();
        self.checkpointed = new.last().map(|checkpoint| checkpoint.step).or(told);
        new.into_iter()
            .map(|checkpoint| self.checkpoint_line(checkpoint))
            .collect()
    }

    fn checkpoint_line(&self, checkpoint: &v1::Manifest) -> String {
        let path = Path::new(&checkpoint.folder).join(MANIFEST_FILE);
        format!(
            "checkpoint after step {}: {}",
            checkpoint.step,
            path_from(&self.folder, &path)
        )
    }
}

fn evaluation_line(evaluation: &v1::Evaluation) -> String {
    let v1::Evaluation {
        step,
        samples,
        correct,
        loss,
    } = evaluation;
    let share = if *samples == 0 {
        0.0
    } else {
        *correct as f64 / *samples as f64
    };
    format!(
        "evaluation after step {step}: accuracy {} ({} of {}), loss {loss:.4}",
        percent(share),
        grouped(*correct),
        grouped(*samples)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(state: v1::JobState) -> v1::JobView {
        v1::JobView {
            state: state.into(),
            ..Default::default()
        }
    }

    fn worker(worker_id: u32, state: &str) -> v1::WorkerView {
        v1::WorkerView {
            worker_id,
            incarnation: 1,
            pid: 40 + worker_id,
            log_path: format!("/jobs/ada/logs/worker-{worker_id}.log"),
            state: state.to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn story_of_a_run_is_told_once() {
        let mut narrator = Narrator::new(PathBuf::from("/jobs/ada"));
        let mut training = view(v1::JobState::Training);
        training.generation = 1;
        training.workers = vec![worker(0, "training"), worker(1, "training")];
        assert_eq!(
            narrator.tell(&training),
            [
                "worker 0 started: pid 40, log logs/worker-0.log",
                "worker 1 started: pid 41, log logs/worker-1.log",
                "training: generation 1 with 2 workers",
            ]
        );
        assert!(narrator.tell(&training).is_empty());

        training.evaluations = vec![v1::Evaluation {
            step: 469,
            samples: 10_000,
            correct: 8_731,
            loss: 0.34908,
        }];
        training.checkpoints = vec![v1::Manifest {
            step: 469,
            folder: "/c/step-469".to_owned(),
            ..Default::default()
        }];
        assert_eq!(
            narrator.tell(&training),
            [
                "evaluation after step 469: accuracy 87.31 % (8,731 of 10,000), loss 0.3491",
                "checkpoint after step 469: /c/step-469/manifest.json",
            ]
        );
        training.evaluations.push(v1::Evaluation {
            step: 938,
            ..Default::default()
        });
        assert_eq!(narrator.tell(&training).len(), 1);
    }

    #[test]
    fn worker_that_ends_too_early_is_told_and_the_end_of_all_is_not() {
        let mut narrator = Narrator::new(PathBuf::from("/jobs/ada"));
        let mut training = view(v1::JobState::Training);
        training.workers = vec![worker(0, "training"), worker(1, "exited")];
        assert!(
            narrator
                .tell(&training)
                .contains(&"worker 1 ended: pid 41, log logs/worker-1.log".to_owned())
        );
        let mut finished = view(v1::JobState::Finished);
        finished.workers = vec![worker(0, "exited"), worker(1, "exited")];
        assert!(narrator.tell(&finished).is_empty());
    }
}
