//! From stored bytes to normalised floats; training images are cropped and mirrored at random.

#[cfg(test)]
mod tests;

use convoy_common::ids::StepIndex;
use convoy_common::order::mix;
use convoy_common::spec::AugmentSpec;

use crate::dataset::ImageShape;
use crate::error::DataError;

/// The golden ratio in 64 bits: `SplitMix64`'s increment.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// Keeps the draws apart from whatever else is drawn from the job's seed; the value means nothing.
const AUGMENTATION: u64 = 0xa06f_3a7c_5b19_d2e4;

/// Normalisation, and for training the random changes.
///
/// What happens to an image depends on the job's seed, the step and the position in the epoch, on nothing else.
#[derive(Clone, Debug)]
pub struct Transform {
    shape: ImageShape,
    /// Per channel, the float that each byte becomes.
    tables: Vec<[f32; 256]>,
    augmentation: Option<Augmentation>,
}

#[derive(Clone, Copy, Debug)]
struct Augmentation {
    seed: u64,
    padding: usize,
    flip: bool,
}

/// Where an image ends up. The crop is shifted first, then mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placement {
    /// Rows by which the crop lies below the image, negative for above.
    down: isize,
    /// Columns by which the crop lies to the right of the image.
    right: isize,
    mirrored: bool,
}

impl Placement {
    const CENTRED: Self = Self {
        down: 0,
        right: 0,
        mirrored: false,
    };
}

impl Transform {
    /// For training images: `(pixel / 255 - mean) / std` per channel after a random crop and a random flip as `augment` says.
    /// The padding around the image is black (0), so that it is normalised like any black pixel.
    ///
    /// # Errors
    /// If `mean` and `std` don't have a usable value for each channel, or if a crop could miss the image.
    pub fn training(
        shape: ImageShape,
        mean: &[f32],
        std: &[f32],
        augment: &AugmentSpec,
        seed: u64,
    ) -> Result<Self, DataError> {
        let padding = augment.crop_padding as usize;
        if padding > 0 && padding >= shape.height.min(shape.width) {
            return Err(DataError::CropMissesImage {
                padding: augment.crop_padding,
                shape,
            });
        }
        let augmentation = Augmentation {
            seed,
            padding,
            flip: augment.flip,
        };
        let changes_something = padding > 0 || augment.flip;
        Ok(Self {
            augmentation: changes_something.then_some(augmentation),
            ..Self::evaluation(shape, mean, std)?
        })
    }

    /// For test images: normalisation alone.
    ///
    /// # Errors
    /// If `mean` and `std` don't have a usable value for each channel.
    pub fn evaluation(shape: ImageShape, mean: &[f32], std: &[f32]) -> Result<Self, DataError> {
        check_normalisation(shape, mean, std)?;
        let tables = mean
            .iter()
            .zip(std)
            .map(|(mean, std)| table(*mean, *std))
            .collect();
        Ok(Self {
            shape,
            tables,
            augmentation: None,
        })
    }

    /// Shape of the images it takes and gives.
    #[must_use]
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Writes the image made from `pixels` at `position` of the epoch, in the job's step `step`.
    ///
    /// # Panics
    /// If `pixels` or `image` is not as long as the shape says: an error of the caller.
    pub fn apply(&self, pixels: &[u8], step: StepIndex, position: u64, image: &mut [f32]) {
        assert_eq!(
            pixels.len(),
            self.shape.values(),
            "stored pixels of an image of {}",
            self.shape
        );
        assert_eq!(
            image.len(),
            self.shape.values(),
            "values of an image of {}",
            self.shape
        );
        let placement = self.placement(step, position);
        let plane = self.shape.height * self.shape.width;
        let planes = pixels
            .chunks_exact(plane)
            .zip(image.chunks_exact_mut(plane));
        for ((from, to), table) in planes.zip(&self.tables) {
            if placement == Placement::CENTRED {
                look_up(table, from, to);
            } else {
                self.place(from, placement, table, to);
            }
        }
    }

    fn placement(&self, step: StepIndex, position: u64) -> Placement {
        let Some(Augmentation {
            seed,
            padding,
            flip,
        }) = self.augmentation
        else {
            return Placement::CENTRED;
        };
        // All three are always drawn, so that one setting never changes what another draws.
        let mut draws = Draws::of(seed, step, position);
        let mut shift = || draws.below(2 * padding as u64 + 1) as isize - padding as isize;
        let (down, right) = (shift(), shift());
        Placement {
            down,
            right,
            mirrored: draws.below(2) == 1 && flip,
        }
    }

    /// Copies the crop of one plane; what lies outside the image is black.
    fn place(&self, from: &[u8], placement: Placement, table: &[f32; 256], to: &mut [f32]) {
        let ImageShape { height, width, .. } = self.shape;
        let Placement {
            down,
            right,
            mirrored,
        } = placement;
        let black = table[0];
        // Columns of the crop that lie inside the image, and where they come from.
        let inside = inside(right, width);
        let source_start = inside.start.saturating_add_signed(right);
        let target = if mirrored {
            width - inside.end..width - inside.start
        } else {
            inside.clone()
        };
        for (y, row) in to.chunks_exact_mut(width).enumerate() {
            let Some(source_y) = y.checked_add_signed(down).filter(|y| *y < height) else {
                row.fill(black);
                continue;
            };
            let source = &from[source_y * width + source_start..][..inside.len()];
            row[..target.start].fill(black);
            row[target.end..].fill(black);
            if mirrored {
                look_up_reversed(table, source, &mut row[target.clone()]);
            } else {
                look_up(table, source, &mut row[target.clone()]);
            }
        }
    }
}

/// The indexes `i` of `0..length` for which `i + shift` is in `0..length` as well; `shift` is shorter than `length`.
fn inside(shift: isize, length: usize) -> std::ops::Range<usize> {
    let cut = shift.unsigned_abs();
    if shift < 0 {
        cut..length
    } else {
        0..length - cut
    }
}

fn look_up(table: &[f32; 256], from: &[u8], to: &mut [f32]) {
    for (value, byte) in to.iter_mut().zip(from) {
        *value = table[usize::from(*byte)];
    }
}

fn look_up_reversed(table: &[f32; 256], from: &[u8], to: &mut [f32]) {
    for (value, byte) in to.iter_mut().rev().zip(from) {
        *value = table[usize::from(*byte)];
    }
}

/// Computed in f64 with basic operations only and rounded once: the same bits on every machine.
fn table(mean: f32, std: f32) -> [f32; 256] {
    std::array::from_fn(|byte| ((byte as f64 / 255.0 - f64::from(mean)) / f64::from(std)) as f32)
}

/// Whether `mean` and `std` fit the channels of the images and can be computed with.
pub(crate) fn check_normalisation(
    shape: ImageShape,
    mean: &[f32],
    std: &[f32],
) -> Result<(), DataError> {
    for (key, values, least) in [
        ("data.mean", mean, f32::NEG_INFINITY),
        ("data.std", std, 0.0),
    ] {
        if values.len() != shape.channels {
            return Err(DataError::ChannelsDiffer {
                key,
                values: values.len(),
                channels: shape.channels,
            });
        }
        let unusable = |value: f32| !value.is_finite() || value <= least;
        if let Some(channel) = values.iter().position(|value| unusable(*value)) {
            return Err(DataError::BadNormalisation {
                key,
                channel,
                value: values[channel],
            });
        }
    }
    Ok(())
}

/// The random numbers of one image: `SplitMix64` from a state that mixes seed, step and position.
struct Draws {
    state: u64,
}

impl Draws {
    fn of(seed: u64, step: StepIndex, position: u64) -> Self {
        let keyed = mix(seed.wrapping_add(AUGMENTATION));
        let of_step = mix(keyed.wrapping_add(step.0).wrapping_add(INCREMENT));
        Self {
            state: mix(of_step.wrapping_add(position).wrapping_add(INCREMENT)),
        }
    }

    /// A number in `0..bound`, from the high bits of a product (Lemire, "Fast Random Integer Generation in an Interval",
    /// 2019); for bounds this small its bias is below 2^-56.
    fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        ((u128::from(mix(self.state)) * u128::from(bound)) >> 64) as u64
    }
}
