//! The loss as a sum over samples.

use tch::{Reduction, TchError, Tensor};

/// PyTorch's default: a label that no dataset of ours can hold.
const IGNORED_LABEL: i64 = -100;

/// Cross-entropy of scores `[n, classes]` (f32) and labels `[n]` (i64), as `torch.nn.CrossEntropyLoss` with `reduction="sum"`.
///
/// The step divides the sum by the samples of its whole batch. PyTorch's mean over weighted samples divides by the sum of their
/// weights instead, which depends on the labels of all shards; with weights of mean 1 over the dataset the two agree on average.
pub(crate) struct Loss {
    label_smoothing: f64,
    /// One weight per class. With label smoothing each class's part of the target has its own weight, as in PyTorch.
    class_weights: Option<Tensor>,
}

impl Loss {
    /// No `class_weights` weigh all classes alike.
    pub(crate) fn new(label_smoothing: f64, class_weights: &[f32]) -> Result<Self, TchError> {
        let class_weights = if class_weights.is_empty() {
            None
        } else {
            Some(Tensor::f_from_slice(class_weights)?)
        };
        Ok(Self {
            label_smoothing,
            class_weights,
        })
    }

    /// What training minimises.
    pub(crate) fn training_sum(
        &self,
        scores: &Tensor,
        labels: &Tensor,
    ) -> Result<Tensor, TchError> {
        scores.f_cross_entropy_loss(
            labels,
            self.class_weights.as_ref(),
            Reduction::Sum,
            IGNORED_LABEL,
            self.label_smoothing,
        )
    }
}

/// What evaluation reports: without smoothing and weights, comparable between jobs.
pub(crate) fn evaluation_sum(scores: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    scores.f_cross_entropy_loss(labels, None::<&Tensor>, Reduction::Sum, IGNORED_LABEL, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: [f64; 4] = [1.243_254_18, 1.403_254_27, 3.126_484_39, 3.256_990_67];

    fn scores() -> Tensor {
        Tensor::from_slice(&[2.0f32, -1.0, 0.5, 0.1, 0.2, 0.3]).view([2, 3])
    }

    /// ```python
    /// s = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3]]); y = torch.tensor([0, 2]); w = torch.tensor([0.5, 1.0, 3.0])
    /// for weight, smoothing in ((None, 0.0), (None, 0.1), (w, 0.0), (w, 0.1)):
    ///     print(torch.nn.functional.cross_entropy(s, y, weight, reduction="sum", label_smoothing=smoothing).item())
    /// ```
    #[test]
    fn sums_are_pytorchs() {
        let weights = [0.5, 1.0, 3.0];
        let expected = [
            (&[][..], 0.0, EXPECTED[0]),
            (&[][..], 0.1, EXPECTED[1]),
            (&weights[..], 0.0, EXPECTED[2]),
            (&weights[..], 0.1, EXPECTED[3]),
        ];
        let labels = Tensor::from_slice(&[0i64, 2]);
        for (class_weights, smoothing, expected) in expected {
            let loss = Loss::new(smoothing, class_weights).unwrap();
            let sum = loss.training_sum(&scores(), &labels).unwrap();
            let found = sum.double_value(&[]);
            assert!(
                (found - expected).abs() < 1e-6,
                "{found} instead of {expected}"
            );
        }
        let evaluated = evaluation_sum(&scores(), &labels).unwrap();
        assert!((evaluated.double_value(&[]) - EXPECTED[0]).abs() < 1e-6);
    }
}
