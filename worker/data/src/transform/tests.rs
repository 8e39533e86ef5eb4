use proptest::prelude::*;

use super::*;

const SHAPE: ImageShape = ImageShape {
    channels: 3,
    height: 7,
    width: 5,
};
const MEAN: [f32; 3] = [0.1, 0.5, 0.9];
const STD: [f32; 3] = [0.2, 1.0, 0.05];

fn noise(shape: ImageShape, seed: u64) -> Vec<u8> {
    (0..shape.values() as u64)
        .map(|index| mix(mix(seed) ^ index) as u8)
        .collect()
}

fn training(padding: u32, flip: bool, seed: u64) -> Transform {
    let augment = AugmentSpec {
        crop_padding: padding,
        flip,
    };
    Transform::training(SHAPE, &MEAN, &STD, &augment, seed).unwrap()
}

fn apply(transform: &Transform, pixels: &[u8], step: u64, position: u64) -> Vec<f32> {
    let mut image = vec![f32::NAN; transform.shape().values()];
    transform.apply(pixels, StepIndex(step), position, &mut image);
    image
}

/// Pads, crops, mirrors and normalises in four separate passes over every pixel.
fn slow_reference(
    pixels: &[u8],
    shape: ImageShape,
    padding: usize,
    placement: Placement,
) -> Vec<f32> {
    let ImageShape {
        channels,
        height,
        width,
    } = shape;
    let (padded_height, padded_width) = (height + 2 * padding, width + 2 * padding);
    let mut padded = vec![0u8; channels * padded_height * padded_width];
    for c in 0..channels {
        for y in 0..height {
            for x in 0..width {
                padded[(c * padded_height + y + padding) * padded_width + x + padding] =
                    pixels[(c * height + y) * width + x];
            }
        }
    }
    let top = (padding as isize + placement.down) as usize;
    let left = (padding as isize + placement.right) as usize;
    let mut image = Vec::new();
    for c in 0..channels {
        for y in 0..height {
            for x in 0..width {
                let x = if placement.mirrored { width - 1 - x } else { x };
                let byte = padded[(c * padded_height + top + y) * padded_width + left + x];
                image.push(
                    ((f64::from(byte) / 255.0 - f64::from(MEAN[c])) / f64::from(STD[c])) as f32,
                );
            }
        }
    }
    image
}

proptest! {
    #[test]
    fn random_crops_and_flips_equal_a_slow_reference(
        seed: u64, step in 0u64..1_000_000, position in 0u64..10_000_000, padding in 0u32..5, flip: bool,
    ) {
        let transform = training(padding, flip, seed);
        let pixels = noise(SHAPE, seed);
        let placement = transform.placement(StepIndex(step), position);
        let expected = slow_reference(&pixels, SHAPE, padding as usize, placement);
        prop_assert_eq!(apply(&transform, &pixels, step, position), expected);
        prop_assert!(placement.down.unsigned_abs() <= padding as usize);
        prop_assert!(placement.right.unsigned_abs() <= padding as usize);
        prop_assert!(flip || !placement.mirrored);
    }
}

/// What channels_last memory holds, moved back plane by plane.
fn planar(image: &[f32], shape: ImageShape) -> Vec<f32> {
    let plane = shape.height * shape.width;
    let channel = |channel| image.iter().copied().skip(channel).step_by(shape.channels);
    let values: Vec<f32> = (0..shape.channels).flat_map(channel).collect();
    assert_eq!(values.len(), shape.channels * plane);
    values
}

proptest! {
    #[test]
    fn both_layouts_hold_the_same_values(
        seed: u64, step in 0u64..1_000, position in 0u64..1_000_000, padding in 0u32..5, flip: bool,
        channels in 1usize..=4, height in 5usize..9, width in 5usize..9,
    ) {
        let shape = ImageShape { channels, height, width };
        let mean: Vec<f32> = (0..channels).map(|channel| channel as f32 / 4.0).collect();
        let augment = AugmentSpec { crop_padding: padding, flip };
        let nchw = Transform::training(shape, &mean, &vec![0.25; channels], &augment, seed).unwrap();
        let nhwc = nchw.clone().in_layout(Layout::Nhwc);
        let pixels = noise(shape, seed);
        let expected = apply(&nchw, &pixels, step, position);
        prop_assert_eq!(planar(&apply(&nhwc, &pixels, step, position), shape), expected);
    }
}

#[test]
fn pixels_of_the_nhwc_layout_have_their_channels_side_by_side() {
    let shape = ImageShape {
        channels: 3,
        height: 1,
        width: 2,
    };
    let transform = Transform::evaluation(shape, &[0.0; 3], &[1.0; 3]).unwrap();
    let pixels = [0, 255, 51, 0, 255, 51];
    assert_eq!(
        apply(&transform, &pixels, 0, 0),
        [0.0, 1.0, 0.2, 0.0, 1.0, 0.2]
    );
    let transform = transform.in_layout(Layout::Nhwc);
    assert_eq!(
        apply(&transform, &pixels, 0, 0),
        [0.0, 0.2, 1.0, 1.0, 0.0, 0.2]
    );
}

#[test]
fn every_shift_and_both_directions_equal_a_slow_reference() {
    let transform = training(4, true, 0);
    let pixels = noise(SHAPE, 1);
    let plane = SHAPE.height * SHAPE.width;
    for (down, right, mirrored) in all_placements(4) {
        let placement = Placement {
            down,
            right,
            mirrored,
        };
        let mut image = vec![f32::NAN; SHAPE.values()];
        for channel in 0..SHAPE.channels {
            let range = channel * plane..(channel + 1) * plane;
            transform.place(
                &pixels[range.clone()],
                placement,
                &transform.tables[channel],
                &mut image[range],
                Pixels::PLANAR,
            );
        }
        assert_eq!(
            image,
            slow_reference(&pixels, SHAPE, 4, placement),
            "{placement:?}"
        );
    }
}

fn all_placements(padding: isize) -> impl Iterator<Item = (isize, isize, bool)> {
    let shifts = -padding..=padding;
    shifts.clone().flat_map(move |down| {
        shifts
            .clone()
            .flat_map(move |right| [(down, right, false), (down, right, true)])
    })
}

#[test]
fn every_placement_is_drawn_about_equally_often() {
    let transform = training(2, true, 7);
    let mut counts = std::collections::BTreeMap::new();
    let draws = 100_000;
    for position in 0..draws {
        let Placement {
            down,
            right,
            mirrored,
        } = transform.placement(StepIndex(position / 128), position);
        *counts.entry((down, right, mirrored)).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 50);
    // 2,000 expected with a standard deviation of 44.
    assert!(
        counts.values().all(|count| (1_780..=2_220).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn draws_depend_on_seed_step_and_position() {
    let placements = |seed, step| -> Vec<Placement> {
        let transform = training(4, true, seed);
        (0..64)
            .map(|position| transform.placement(StepIndex(step), position))
            .collect()
    };
    assert_eq!(placements(1, 5), placements(1, 5));
    assert_ne!(placements(1, 5), placements(2, 5));
    assert_ne!(placements(1, 5), placements(1, 6));
}

#[test]
fn flip_does_not_change_the_crops() {
    let (with, without) = (training(4, true, 3), training(4, false, 3));
    for position in 0..100 {
        let [a, b] = [&with, &without].map(|transform| transform.placement(StepIndex(0), position));
        assert_eq!((a.down, a.right), (b.down, b.right));
    }
}

/// The values must be the same on every machine and in every later version, or resumed jobs would differ.
#[test]
fn draws_stay_the_same_for_ever() {
    let transform = training(4, true, 42);
    let drawn: Vec<_> = (0..4)
        .map(|position| transform.placement(StepIndex(9), position))
        .map(|placement| (placement.down, placement.right, placement.mirrored))
        .collect();
    assert_eq!(
        drawn,
        [
            (-4, 2, true),
            (-4, -3, false),
            (-4, -3, false),
            (0, 2, false)
        ]
    );
}

#[test]
fn test_images_are_only_normalised() {
    let shape = ImageShape {
        channels: 1,
        height: 1,
        width: 3,
    };
    let transform = Transform::evaluation(shape, &[0.5], &[0.25]).unwrap();
    assert_eq!(apply(&transform, &[0, 255, 51], 3, 4), [-2.0, 2.0, -1.2]);
}

#[test]
fn normalisation_must_fit_the_channels() {
    let check = |mean: &[f32], std: &[f32]| {
        Transform::evaluation(SHAPE, mean, std)
            .unwrap_err()
            .to_string()
    };
    assert!(
        check(&[0.5], &STD).starts_with("data.mean has 1 values, but the images have 3 channels")
    );
    assert!(
        check(&MEAN, &[0.5; 4])
            .starts_with("data.std has 4 values, but the images have 3 channels")
    );
    assert!(check(&MEAN, &[1.0, 0.0, 1.0]).starts_with("data.std[1] = 0 can't be used"));
    assert!(check(&[f32::NAN, 0.0, 0.0], &STD).starts_with("data.mean[0] = NaN can't be used"));
}

#[test]
fn crop_that_could_miss_the_image_is_refused() {
    let augment = AugmentSpec {
        crop_padding: 5,
        flip: false,
    };
    let error = Transform::training(SHAPE, &MEAN, &STD, &augment, 0).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("crop_padding = 5 is not smaller than the sides of the images (3 x 7 x 5)")
    );
}
