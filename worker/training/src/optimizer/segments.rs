//! Which part of the flat memory is which parameter, and which parts are updated alike.

use std::ops::Range;

use convoy_common::spec::OptimizerSpec;

use crate::buckets::BucketLayout;
use crate::model::NamedTensor;

/// Where one parameter lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) range: Range<usize>,
    /// Scale or shift of a normalisation, or a bias: a parameter of at most one dimension.
    pub(crate) norm_or_bias: bool,
}

impl Segment {
    /// All parameters of a model, in the order in which they lie in memory.
    pub(crate) fn of_model(parameters: &[NamedTensor], layout: &BucketLayout) -> Vec<Self> {
        let mut segments: Vec<Self> = parameters
            .iter()
            .zip(&layout.offsets)
            .map(|(parameter, offset)| Self {
                range: *offset..offset + parameter.tensor.numel(),
                norm_or_bias: parameter.tensor.dim() <= 1,
            })
            .collect();
        segments.sort_by_key(|segment| segment.range.start);
        segments
    }
}

/// The weight decay of a parameter.
pub(super) fn weight_decay(spec: &OptimizerSpec, segment: &Segment) -> f64 {
    if segment.norm_or_bias && !spec.decay_norm_and_bias {
        0.0
    } else {
        spec.weight_decay
    }
}

/// Each weight decay there is, with the parts of the memory of `elements` values that have it. Parameters that lie side by side
/// share a part; the padding between two parameters is zeros, and stays zeros under every update.
pub(super) fn decay_groups(
    spec: &OptimizerSpec,
    segments: &[Segment],
    elements: usize,
) -> Vec<(f64, Vec<Range<usize>>)> {
    let mut groups: Vec<(f64, Vec<Range<usize>>)> = Vec::new();
    let ends = segments
        .iter()
        .skip(1)
        .map(|next| next.range.start)
        .chain([elements]);
    for (segment, end) in segments.iter().zip(ends) {
        let decay = weight_decay(spec, segment);
        let run = segment.range.start..end;
        // Compared by bits: the two there can be are a number of the spec and zero.
        let group = groups
            .iter_mut()
            .find(|(known, _)| known.to_bits() == decay.to_bits());
        match group {
            Some((_, runs)) => match runs.last_mut() {
                Some(last) if last.end == run.start => last.end = run.end,
                Some(_) | None => runs.push(run),
            },
            None => groups.push((decay, vec![run])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use convoy_common::spec::OptimizerName;

    use super::*;

    fn spec(weight_decay: f64, decay_norm_and_bias: bool) -> OptimizerSpec {
        OptimizerSpec {
            weight_decay,
            decay_norm_and_bias,
            ..OptimizerSpec::new(OptimizerName::Sgd, 0.1)
        }
    }

    fn segments() -> Vec<Segment> {
        [
            (0..10, true),
            (16..32, true),
            (32..50, false),
            (64..67, true),
        ]
        .map(|(range, norm_or_bias)| Segment {
            range,
            norm_or_bias,
        })
        .to_vec()
    }

    #[test]
    fn one_decay_is_one_run_over_everything() {
        let whole = |decay: f64| vec![(decay, vec![Range { start: 0, end: 80 }])];
        assert_eq!(decay_groups(&spec(0.1, true), &segments(), 80), whole(0.1));
        assert_eq!(decay_groups(&spec(0.0, false), &segments(), 80), whole(0.0));
    }

    #[test]
    fn norms_and_biases_side_by_side_share_a_run_without_decay() {
        let expected = vec![
            (0.0, vec![0..32, 64..80]),
            (0.1, vec![Range { start: 32, end: 64 }]),
        ];
        assert_eq!(decay_groups(&spec(0.1, false), &segments(), 80), expected);
    }
}
