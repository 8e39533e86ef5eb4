//! From the gradients of shards to the one sum that the update takes.

use convoy_common::spec::Reproducibility;
use convoy_torch::{FixedSums, FlatBuffer, TorchError, set_gradient};
use tch::{Kind, Tensor};

use crate::model::NamedTensor;
use crate::reduce::Reduction;
use crate::scales::Scales;
use crate::state::FlatParameters;

/// How gradients are added up.
pub(crate) enum GradientSums {
    /// By autograd and the ring, as floats: the last bits depend on the members.
    Floats,
    /// The same bits in any order.
    Integers(FixedGradients),
}

/// What the reduced magnitudes of a step say of its gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They are what they should be.
    Good,
    /// Some are no numbers, or infinite.
    NotFinite,
    /// Some had to be clamped: they must be computed again, with scales that fit them.
    Outgrown,
}

impl GradientSums {
    /// Gradients of these parameters, in a job of so many shards.
    pub(crate) fn new(
        reproducibility: Reproducibility,
        data_shards: u32,
        named: &[NamedTensor],
        flat: &FlatParameters,
    ) -> Result<Self, TorchError> {
        let place = |(index, named): (usize, &NamedTensor)| {
            flat.view(&flat.gradients, index, &named.tensor.size())
        };
        let places: Vec<Tensor> = named.iter().enumerate().map(place).collect();
        match reproducibility {
            Reproducibility::Fast => {
                for (named, place) in named.iter().zip(&places) {
                    set_gradient(&named.tensor, place)?;
                }
                Ok(Self::Floats)
            }
            Reproducibility::Bitwise => {
                let parameters: Vec<_> = named.iter().map(|n| n.tensor.shallow_clone()).collect();
                let sums = FixedSums::attach(&parameters, &places, &flat.gradients)?;
                Ok(Self::Integers(FixedGradients::new(
                    sums,
                    parameters.len(),
                    data_shards,
                )))
            }
        }
    }

    /// The buckets of gradients as they are reduced.
    pub(crate) fn buckets(&self, flat: &FlatParameters) -> Vec<Reduction> {
        let FlatParameters {
            layout, gradients, ..
        } = flat;
        let region = |range: &std::ops::Range<usize>| match self {
            Self::Floats => gradients.region(range.clone()),
            Self::Integers(_) => gradients.integer_region(range.clone()),
        };
        layout
            .buckets
            .iter()
            .map(region)
            .map(Reduction::sum)
            .collect()
    }

    /// What is reduced beside them.
    pub(crate) fn magnitudes(&self) -> Option<Reduction> {
        match self {
            Self::Floats => None,
            Self::Integers(fixed) => {
                let measured = &fixed.measured;
                Some(Reduction::max(measured.region(0..measured.len())))
            }
        }
    }

    /// Begins the sums of a step; `again` if its gradients outgrew their scales.
    pub(crate) fn begin(&mut self, memory: &mut FlatBuffer, again: bool) {
        match self {
            Self::Floats => memory.clear(),
            Self::Integers(fixed) => fixed.begin(again),
        }
    }

    /// The last own shard is through backward.
    pub(crate) fn complete(&mut self) {
        match self {
            Self::Floats => {}
            Self::Integers(fixed) => fixed.complete(),
        }
    }

    /// What has been reduced.
    pub(crate) fn verdict(&mut self, memory: &mut FlatBuffer) -> Verdict {
        match self {
            Self::Floats if memory.with_f32(|values| all_finite(values)) => Verdict::Good,
            Self::Floats => Verdict::NotFinite,
            Self::Integers(fixed) => fixed.verdict(),
        }
    }

    /// Makes what was reduced, and is good, the gradients of the update, in place.
    pub(crate) fn settle(&mut self) -> Result<(), TorchError> {
        match self {
            Self::Floats => Ok(()),
            Self::Integers(fixed) => fixed.settle(),
        }
    }
}

/// Gradients as integers. A sum of integers is the same in any order, so that neither the members nor their number nor who owns
/// which shard can change a bit of it.
pub(crate) struct FixedGradients {
    sums: FixedSums,
    scales: Scales,
    /// Of the running step, by parameter.
    exponents: Vec<i32>,
    /// Whether there was a step to take the exponents from.
    has_scales: bool,
    /// The largest magnitude of each parameter's gradients in the newest applied step, over all shards; infinite before the first.
    /// Part of the replicated state.
    pub(crate) magnitudes: FlatBuffer,
    /// The bits of those of the running step; at home over the own shards, then reduced.
    measured: FlatBuffer,
}

impl FixedGradients {
    fn new(sums: FixedSums, parameters: usize, data_shards: u32) -> Self {
        let mut magnitudes = FlatBuffer::zeros(parameters, Kind::Float);
        magnitudes.with_f32(|values| values.fill(f32::INFINITY));
        Self {
            sums,
            scales: Scales::new(data_shards),
            exponents: vec![0; parameters],
            has_scales: false,
            magnitudes,
            measured: FlatBuffer::zeros(parameters, Kind::Int),
        }
    }

    fn begin(&mut self, again: bool) {
        let (scales, exponents) = (self.scales, &mut self.exponents);
        self.has_scales = if again {
            self.measured.with_i32(|measured| {
                let magnitudes = measured.iter().map(|bits| magnitude(*bits));
                scale(scales, exponents, magnitudes)
            })
        } else {
            self.magnitudes
                .with_f32(|magnitudes| scale(scales, exponents, magnitudes.iter().copied()))
        };
        self.sums.begin(&self.exponents, self.scales.limit());
    }

    fn complete(&mut self) {
        self.sums.complete();
        let sums = &self.sums;
        self.measured.with_i32(|measured| sums.magnitudes(measured));
    }

    fn verdict(&mut self) -> Verdict {
        let (scales, exponents) = (self.scales, &self.exponents);
        let (finite, fits) = self.measured.with_i32(|measured| {
            let magnitudes = || measured.iter().map(|bits| magnitude(*bits));
            let finite = magnitudes().all(|magnitude| scales.have_a_sum(magnitude));
            let mut pairs = magnitudes().zip(exponents);
            (
                finite,
                pairs.all(|(magnitude, exponent)| scales.fits(magnitude, *exponent)),
            )
        });
        match (finite, fits && self.has_scales) {
            (false, _) => Verdict::NotFinite,
            (true, false) => Verdict::Outgrown,
            (true, true) => Verdict::Good,
        }
    }

    fn settle(&mut self) -> Result<(), TorchError> {
        self.sums.to_floats()?;
        let (magnitudes, measured) = (&mut self.magnitudes, &mut self.measured);
        magnitudes.with_f32(|magnitudes| {
            measured.with_i32(|measured| {
                for (known, bits) in magnitudes.iter_mut().zip(measured) {
                    *known = magnitude(*bits);
                }
            });
        });
        Ok(())
    }
}

fn magnitude(bits: i32) -> f32 {
    f32::from_bits(bits.cast_unsigned())
}

/// Sets exponents for these magnitudes; whether there are some, all of them finite.
fn scale(scales: Scales, exponents: &mut [i32], magnitudes: impl Iterator<Item = f32>) -> bool {
    let mut finite = true;
    for (exponent, magnitude) in exponents.iter_mut().zip(magnitudes) {
        if magnitude.is_finite() {
            *exponent = scales.exponent(magnitude);
        } else {
            *exponent = 0;
            finite = false;
        }
    }
    finite
}

/// Looks at whole blocks without a branch in between, which compiles to vector instructions.
fn all_finite(values: &[f32]) -> bool {
    const BLOCK: usize = 4096;
    values.chunks(BLOCK).all(|block| {
        block
            .iter()
            .fold(true, |all, value| all & value.is_finite())
    })
}
