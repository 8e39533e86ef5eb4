//! The progress line.

use std::time::Duration;

use convoy_proto::v1;

use crate::summary::completed_epochs;
use crate::words;

/// Steps done and all steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Completed steps.
    pub(crate) steps: u64,
    /// Steps of the job; 0 when not known yet.
    pub(crate) of: u64,
}

/// How far the job is.
pub(crate) fn done(progress: &v1::Progress) -> Done {
    Done {
        steps: progress.position.map_or(0, |position| position.step),
        of: progress.steps,
    }
}

/// What the job does: how far training is, or what it waits for. Nothing once it is over: the closing table tells that.
pub(crate) fn status(view: &v1::JobView) -> Option<String> {
    let reason = || view.reason.lines().next().unwrap_or_default();
    match view.state() {
        // The reason goes on: "waits for ...", "forms generation ...".
        v1::JobState::Waiting | v1::JobState::Forming => Some(format!("the job {}", reason())),
        v1::JobState::Training => view.progress.as_ref().map(line),
        v1::JobState::Unspecified
        | v1::JobState::Finished
        | v1::JobState::Failed
        | v1::JobState::Cancelled => None,
    }
}

/// `epoch 2/5  step 600/2345  loss 0.412  accuracy 85.3 %  5,120 images/s  1 min 12 s left`
fn line(progress: &v1::Progress) -> String {
    let Done { steps, of } = done(progress);
    // At the end of the last epoch there is no next one.
    let epoch = (completed_epochs(steps, progress) + 1).min(progress.epochs);
    let mut parts = vec![
        format!("epoch {epoch}/{}", progress.epochs),
        format!("step {steps}/{of}"),
    ];
    if steps > 0 {
        parts.push(format!("loss {:.3}", progress.loss));
        parts.push(format!(
            "accuracy {}",
            words::percent_roughly(progress.accuracy)
        ));
        parts.push(words::rate(progress.images_per_second));
    }
    if let Some(left) = time_left(progress) {
        parts.push(format!("{} left", words::duration(left)));
    }
    if progress.skipped > 0 {
        parts.push(format!(
            "{} skipped",
            words::count(progress.skipped, "step")
        ));
    }
    parts.join("  ")
}

/// The rest at the pace so far, evaluation and checkpoints included.
fn time_left(progress: &v1::Progress) -> Option<Duration> {
    let Done { steps, of } = done(progress);
    if steps == 0 || of < steps {
        return None;
    }
    let seconds =
        (progress.step_seconds + progress.other_seconds) * (of - steps) as f64 / steps as f64;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(step: u64) -> v1::Progress {
        v1::Progress {
            position: Some(v1::Position {
                step,
                ..Default::default()
            }),
            epochs: 5,
            steps: 2345,
            loss: 0.41203,
            accuracy: 0.8531,
            images_per_second: 5119.7,
            step_seconds: 20.0,
            other_seconds: 4.0,
            ..Default::default()
        }
    }

    #[test]
    fn line_has_place_quality_speed_and_rest() {
        assert_eq!(
            line(&progress(600)),
            "epoch 2/5  step 600/2345  loss 0.412  accuracy 85.3 %  5,120 images/s  1 min 09 s left"
        );
    }

    #[test]
    fn job_that_does_not_train_yet_says_what_it_waits_for() {
        let reason = "waits for 2 slots\nmore".to_owned();
        let view = |state: v1::JobState| v1::JobView {
            state: state.into(),
            reason: reason.clone(),
            ..Default::default()
        };
        let waiting = status(&view(v1::JobState::Waiting));
        assert_eq!(waiting.as_deref(), Some("the job waits for 2 slots"));
        assert_eq!(status(&view(v1::JobState::Finished)), None);
    }

    #[test]
    fn before_the_first_step_there_is_nothing_to_extrapolate() {
        assert_eq!(line(&progress(0)), "epoch 1/5  step 0/2345");
        assert_eq!(line(&v1::Progress::default()), "epoch 0/0  step 0/0");
    }

    #[test]
    fn after_the_last_step_it_is_still_the_last_epoch() {
        let text = line(&progress(2345));
        assert!(text.starts_with("epoch 5/5  step 2345/2345"), "{text}");
        assert!(text.ends_with("0.0 s left"), "{text}");
    }

    #[test]
    fn skipped_steps_are_told() {
        let text = line(&v1::Progress {
            skipped: 2,
            ..progress(600)
        });
        assert!(text.ends_with("2 steps skipped"), "{text}");
    }

    #[test]
    fn rest_of_a_broken_clock_is_not_shown() {
        assert_eq!(
            time_left(&v1::Progress {
                step_seconds: f64::NAN,
                ..progress(600)
            }),
            None
        );
        assert_eq!(
            time_left(&v1::Progress {
                step_seconds: -50.0,
                ..progress(600)
            }),
            None
        );
    }
}
