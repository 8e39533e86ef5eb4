//! Counts right answers.

use tch::{TchError, Tensor};

/// Counts without a tensor of its own; its memory is used again.
#[derive(Debug)]
pub(crate) struct Accuracy {
    classes: usize,
    scores: Vec<f32>,
}

impl Accuracy {
    /// Of networks that tell so many classes apart, at least 1.
    pub(crate) fn new(classes: u32) -> Self {
        Self {
            classes: classes.max(1) as usize,
            scores: Vec::new(),
        }
    }

    /// How many samples have their highest score at their label: `scores` is `[n, classes]` in f32, `labels` has `n` values.
    ///
    /// Of equal scores the first counts. A score that is no number is never the highest.
    pub(crate) fn correct(&mut self, scores: &Tensor, labels: &[i64]) -> Result<u64, TchError> {
        let elements = labels.len() * self.classes;
        if self.scores.len() < elements {
            // Micro-batches differ by a sample, and the largest need not come first.
            self.scores.resize(elements + self.classes, 0.0);
        }
        scores.f_copy_data(&mut self.scores, elements)?;
        let answers = self.scores.chunks_exact(self.classes).zip(labels);
        let right = |(scores, label): &(&[f32], &i64)| {
            highest(scores).is_some_and(|class| i64::try_from(class) == Ok(**label))
        };
        Ok(answers.filter(right).count() as u64)
    }
}

/// The class with the highest score; none where no score is a number.
fn highest(scores: &[f32]) -> Option<usize> {
    let numbers = scores
        .iter()
        .enumerate()
        .filter(|(_, score)| !score.is_nan());
    let best = numbers.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scores: &[f32], classes: u32, labels: &[i64], expected: u64) {
        let tensor = Tensor::from_slice(scores).view([-1, i64::from(classes)]);
        let mut accuracy = Accuracy::new(classes);
        assert_eq!(accuracy.correct(&tensor, labels).unwrap(), expected);
        // Columns that lie side by side are read in the same order.
        let transposed = tensor.transpose(0, 1).contiguous().transpose(0, 1);
        assert_eq!(accuracy.correct(&transposed, labels).unwrap(), expected);
    }

    #[test]
    fn highest_score_is_the_answer() {
        let scores = [0.1, 0.9, 0.0, 3.0, -1.0, 2.0];
        check(&scores, 3, &[1, 0], 2);
        check(&scores, 3, &[1, 2], 1);
        check(&scores, 2, &[1, 1, 0], 2);
    }

    #[test]
    fn first_of_equal_scores_counts() {
        check(&[1.0, 1.0], 2, &[0], 1);
        check(&[1.0, 1.0], 2, &[1], 0);
        check(&[f32::NAN, 1.0], 2, &[1], 1);
        check(&[f32::NAN, f32::NAN], 2, &[0], 0);
        check(&[f32::NEG_INFINITY, f32::NEG_INFINITY], 2, &[0], 1);
    }
}
