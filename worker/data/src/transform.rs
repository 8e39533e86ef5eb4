//! From stored bytes to normalised floats; training images are cropped and mirrored at random.

#[cfg(test)]
mod tests;

use convoy_common::ids::StepIndex;
use convoy_common::order::{SplitMix64, mix, spread};
use convoy_common::spec::AugmentSpec;

use crate::dataset::ImageShape;
use crate::error::DataError;

/// Keeps the draws apart from whatever else is drawn from the job's seed; the value means nothing.
const AUGMENTATION: u64 = 0xa06f_3a7c_5b19_d2e4;

/// In which order the values of a batch of images lie in memory; which values they are is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Image by image, in it plane by plane, row by row: PyTorch's contiguous format.
    #[default]
    Nchw,
    /// Image by image, in it row by row, in it pixel by pixel with the channels side by side: PyTorch's channels_last
    /// format, strides `[H * W * C, 1, W * C, C]` for the dimensions N, C, H, W.
    Nhwc,
}

/// Normalisation, and for training the random changes.
///
/// What happens to an image depends on the job's seed, the step and the position in the epoch, on nothing else.
#[derive(Clone, Debug)]
pub struct Transform {
    shape: ImageShape,
    /// Per channel, the float that each byte becomes.
    tables: Vec<[f32; 256]>,
    augmentation: Option<Augmentation>,
    layout: Layout,
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
            layout: Layout::Nchw,
        })
    }

    /// The same values in another order.
    #[must_use]
    pub fn in_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Shape of the images it takes and gives.
    #[must_use]
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// How it lays out the values of an image.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
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
        let planes = pixels.chunks_exact(plane).zip(&self.tables);
        match self.layout {
            Layout::Nchw => {
                for ((from, table), to) in planes.zip(image.chunks_exact_mut(plane)) {
                    self.place(from, placement, table, to, Pixels::PLANAR);
                }
            }
            Layout::Nhwc => {
                let of = self.shape.channels;
                for (channel, (from, table)) in planes.enumerate() {
                    self.place(from, placement, table, image, Pixels { channel, of });
                }
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

    /// Writes the crop of one plane into its channel of `to`; what lies outside the image is black.
    fn place(
        &self,
        from: &[u8],
        placement: Placement,
        table: &[f32; 256],
        to: &mut [f32],
        pixels: Pixels,
    ) {
        if placement == Placement::CENTRED {
            return pixels.look_up(table, from, to);
        }
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
        for (y, row) in to.chunks_exact_mut(width * pixels.of).enumerate() {
            let Some(source_y) = y.checked_add_signed(down).filter(|y| *y < height) else {
                pixels.fill(black, row);
                continue;
            };
            let source = &from[source_y * width + source_start..][..inside.len()];
            let (before, rest) = row.split_at_mut(target.start * pixels.of);
            let (within, after) = rest.split_at_mut(target.len() * pixels.of);
            pixels.fill(black, before);
            pixels.fill(black, after);
            if mirrored {
                pixels.look_up_reversed(table, source, within);
            } else {
                pixels.look_up(table, source, within);
            }
        }
    }
}

/// Where one channel lies among values of whole pixels.
#[derive(Clone, Copy)]
struct Pixels {
    channel: usize,
    /// Values of a pixel.
    of: usize,
}

impl Pixels {
    /// A plane of its own.
    const PLANAR: Self = Self { channel: 0, of: 1 };

    fn values(self, to: &mut [f32]) -> impl DoubleEndedIterator<Item = &mut f32> {
        to.chunks_exact_mut(self.of)
            .map(move |pixel| &mut pixel[self.channel])
    }

    fn fill(self, value: f32, to: &mut [f32]) {
        match self.of {
            1 => to.fill(value),
            _ => self.values(to).for_each(|to| *to = value),
        }
    }

    fn look_up(self, table: &[f32; 256], from: &[u8], to: &mut [f32]) {
        match self.of {
            1 => look_up(table, from, to.iter_mut()),
            _ => look_up(table, from, self.values(to)),
        }
    }

    fn look_up_reversed(self, table: &[f32; 256], from: &[u8], to: &mut [f32]) {
        match self.of {
            1 => look_up(table, from, to.iter_mut().rev()),
            _ => look_up(table, from, self.values(to).rev()),
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

fn look_up<'a>(table: &[f32; 256], from: &[u8], to: impl Iterator<Item = &'a mut f32>) {
    for (value, byte) in to.zip(from) {
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

/// The random numbers of one image, from a state that mixes seed, step and position.
struct Draws(SplitMix64);

impl Draws {
    fn of(seed: u64, step: StepIndex, position: u64) -> Self {
        let keyed = mix(seed.wrapping_add(AUGMENTATION));
        let of_step = spread(keyed.wrapping_add(step.0));
        Self(SplitMix64::new(spread(of_step.wrapping_add(position))))
    }

    /// A number in `0..bound`, from the high bits of a product (Lemire, "Fast Random Integer Generation in an Interval",
    /// 2019); for bounds this small its bias is below 2^-56.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.draw()) * u128::from(bound)) >> 64) as u64
    }
}
