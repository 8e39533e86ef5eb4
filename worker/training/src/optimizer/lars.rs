//! LARS: You, Gitman and Ginsburg, "Large Batch Training of Convolutional Networks", 2017, algorithm 1.

use convoy_torch::FlatBuffer;

use super::Segment;
use super::norm::sum_of_squares;

/// The numbers of one update.
#[derive(Clone, Copy, Debug)]
pub(super) struct LarsStep {
    pub(super) learning_rate: f64,
    /// Share of the velocity that is kept.
    pub(super) momentum: f64,
    /// The paper's eta.
    pub(super) trust_coefficient: f64,
    /// Gradients are multiplied by it first.
    pub(super) gradient_factor: f64,
}

/// `v = momentum * v + rate * (g + decay * w)`, `w = w - v`, where the rate of each parameter is the learning rate times
/// `eta * |w| / (|g| + decay * |w|)`. As is common, that ratio is 1 for normalisations and biases, and where either norm is
/// zero. As in the paper, the velocity holds steps, not gradients: a change of the learning rate does not touch what is in it.
pub(super) fn update(
    step: LarsStep,
    segments: &[Segment],
    weight_decay: impl Fn(&Segment) -> f64,
    parameters: &mut FlatBuffer,
    gradients: &mut FlatBuffer,
    velocity: &mut FlatBuffer,
) {
    parameters.with_f32(|w| {
        gradients.with_f32(|g| {
            velocity.with_f32(|v| {
                for segment in segments {
                    let part = segment.range.clone();
                    let (w, g) = (&mut w[part.clone()], &g[part.clone()]);
                    let decay = weight_decay(segment);
                    let trust = if segment.norm_or_bias {
                        1.0
                    } else {
                        trust_ratio(step, decay, w, g)
                    };
                    advance(step, step.learning_rate * trust, decay, w, g, &mut v[part]);
                }
            });
        });
    });
}

fn trust_ratio(step: LarsStep, decay: f64, parameter: &[f32], gradient: &[f32]) -> f64 {
    let parameter = sum_of_squares(parameter).sqrt();
    let gradient = sum_of_squares(gradient).sqrt() * step.gradient_factor;
    if parameter > 0.0 && gradient > 0.0 {
        step.trust_coefficient * parameter / (gradient + decay * parameter)
    } else {
        1.0
    }
}

fn advance(step: LarsStep, rate: f64, decay: f64, w: &mut [f32], g: &[f32], v: &mut [f32]) {
    let momentum = step.momentum as f32;
    let (of_gradient, of_parameter) = ((rate * step.gradient_factor) as f32, (rate * decay) as f32);
    for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
        *v = momentum * *v + (of_gradient * g + of_parameter * *w);
        *w -= *v;
    }
}
