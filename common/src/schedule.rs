//! Learning rates as a pure function of the step, computed with the `libm` crate: the platform's own may differ in the last bit.

use std::f64::consts::PI;

/// Linear warm-up from 0, then a half cosine down to `final_factor` of the peak (Loshchilov and Hutter, SGDR, 2017, equation 5,
/// without restarts; warm-up as in Goyal et al., 2017, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineSchedule {
    /// The learning rate at the end of the warm-up.
    pub peak: f64,
    /// Steps of the warm-up; 0 for none.
    pub warmup_steps: u64,
    /// Steps of the whole job.
    pub total_steps: u64,
    /// The last learning rate as a fraction of the peak, 0 to 1.
    pub final_factor: f64,
}

impl CosineSchedule {
    /// The learning rate of step `step`, counted from 0.
    #[must_use]
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let decay_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let done = ((step - self.warmup_steps) as f64 / decay_steps as f64).min(1.0);
        let cosine = 0.5 * (1.0 + libm::cos(PI * done));
        self.peak * (self.final_factor + (1.0 - self.final_factor) * cosine)
    }
}

#[cfg(test)]
mod tests;
