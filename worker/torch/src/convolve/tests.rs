//! Beside libtorch's own convolution in double precision.

use tch::{Device, Kind};

use super::*;
use crate::Autocast;

/// Images, inputs, outputs, height and width.
type Shape = [i64; 5];

/// Sides that are even, odd and one pixel; blocks of tiles that are full and not; one, two and three panels of channels.
const SHAPES: [Shape; 6] = [
    [8, 32, 64, 14, 14],
    [24, 64, 32, 7, 9],
    [9, 96, 32, 13, 14],
    [400, 32, 32, 1, 1],
    [97, 32, 64, 2, 8],
    [5, 64, 96, 32, 31],
];

/// Even from -1 to 1, and different for each salt.
fn noise(shape: &[i64], salt: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let index = Tensor::arange(count, (Kind::Double, Device::Cpu)) + salt * 1_000.0;
    let values = (index * 12.9898).sin() * 43_758.547;
    ((&values - values.floor()) * 2.0 - 1.0).reshape(shape)
}

fn channels_last(values: &Tensor) -> Tensor {
    values
        .permute([0, 2, 3, 1])
        .contiguous()
        .permute([0, 3, 1, 2])
}

fn leaves(shape: Shape, kind: Kind, weight_last: bool) -> [Tensor; 2] {
    let [n, inputs, outputs, height, width] = shape;
    let leaf = |values: Tensor| values.to_kind(kind).detach().set_requires_grad(true);
    let weight = noise(&[outputs, inputs, 3, 3], 2.0);
    [
        leaf(channels_last(&noise(&[n, inputs, height, width], 1.0))),
        leaf(if weight_last {
            channels_last(&weight)
        } else {
            weight
        }),
    ]
}

fn plain(images: &Tensor, weight: &Tensor) -> Tensor {
    images.conv2d(weight, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1)
}

/// Values, gradients of images and of the weight.
fn results(out: &Tensor, images: &Tensor, weight: &Tensor) -> [Tensor; 3] {
    let direction = noise(&out.size(), 3.0).to_kind(out.kind());
    (out * direction).sum(out.kind()).backward();
    [out.detach(), images.grad(), weight.grad()]
}

/// `None` on a machine whose processor lacks what it needs.
fn found(shape: Shape, weight_last: bool) -> Option<[Tensor; 3]> {
    let [images, weight] = leaves(shape, Kind::Float, weight_last);
    let Some(out) = convolve_3x3(&images, &weight).unwrap() else {
        eprintln!("SKIPPED: needs AVX-512");
        return None;
    };
    Some(results(&out, &images, &weight))
}

fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let largest = expected.abs().max().double_value(&[]);
    (found - expected).abs().max().double_value(&[]) / largest
}

#[test]
fn values_and_gradients_are_those_of_the_plain_sum() {
    for shape in SHAPES {
        for weight_last in [false, true] {
            let Some(found) = found(shape, weight_last) else {
                return;
            };
            let [images, weight] = leaves(shape, Kind::Double, weight_last);
            let exact = results(&plain(&images, &weight), &images, &weight);
            for (name, (found, exact)) in ["values", "images", "weight"]
                .iter()
                .zip(found.iter().zip(&exact))
            {
                let off = difference(found, exact);
                assert!(off < 5e-6, "{shape:?}: {name} off by {off}");
            }
            assert_eq!(found[2].stride(), weight.stride(), "{shape:?}");
        }
    }
}

/// The algorithm adds and subtracts before it multiplies; with tiles of 2x2 this costs little of what the plain sum in f32 has.
#[test]
fn rounding_is_of_the_size_that_libtorch_has() {
    let shape = [16, 64, 64, 14, 14];
    let Some(ours) = found(shape, true) else {
        return;
    };
    let [theirs, exact] = [Kind::Float, Kind::Double].map(|kind| {
        let [images, weight] = leaves(shape, kind, true);
        results(&plain(&images, &weight), &images, &weight)
    });
    for ((ours, theirs), exact) in ours.iter().zip(&theirs).zip(&exact) {
        let [ours, theirs] = [ours, theirs].map(|found| difference(found, exact));
        assert!(ours < 4.0 * theirs, "{ours} beside {theirs}");
    }
}

#[test]
fn a_value_that_is_no_number_stays_visible() {
    for value in [f64::NAN, f64::INFINITY] {
        let [images, weight] = leaves(SHAPES[0], Kind::Float, true);
        let _ = tch::no_grad(|| images.get(7).get(31).get(13).get(13).f_fill_(value)).unwrap();
        let Some(out) = convolve_3x3(&images, &weight).unwrap() else {
            return;
        };
        let found = results(&out, &images, &weight);
        for tensor in [&found[0], &found[2]] {
            assert!(!tensor.isfinite().all().double_value(&[]).eq(&1.0));
        }
    }
}

#[test]
fn images_need_no_gradient() {
    let [images, weight] = leaves(SHAPES[0], Kind::Float, true);
    let fixed = images.detach();
    let Some(out) = convolve_3x3(&fixed, &weight).unwrap() else {
        return;
    };
    let found = results(&out, &fixed, &weight);
    assert!(!found[1].defined());
    let again = self::found(SHAPES[0], true).unwrap();
    assert_eq!(found[2], again[2]);
    let silent = tch::no_grad(|| convolve_3x3(&fixed, &weight).unwrap().unwrap());
    assert_eq!(silent, found[0]);
    assert!(!silent.requires_grad());
}

#[test]
fn other_shapes_layouts_types_and_autocast_are_left_to_libtorch() {
    let [images, weight] = leaves(SHAPES[0], Kind::Float, true);
    for refused in [
        &images.contiguous(),
        &images.slice(3, 0, 14, 2),
        &images.to_kind(Kind::Double),
        &images.to_kind(Kind::BFloat16),
        &images.narrow(0, 0, 0),
        &images.narrow(0, 0, 1),
        &images.get(0),
    ] {
        assert!(convolve_3x3(refused, &weight).unwrap().is_none());
    }
    for refused in [
        &weight.narrow(0, 0, 33),
        &weight.narrow(2, 0, 1),
        &weight.narrow(1, 0, 31),
        &weight.to_kind(Kind::BFloat16),
    ] {
        assert!(convolve_3x3(&images, refused).unwrap().is_none());
    }
    let _guard = Autocast::bfloat16().unwrap();
    assert!(convolve_3x3(&images, &weight).unwrap().is_none());
}

#[test]
fn threads_change_no_bit() {
    let [one, three] = [1, 3].map(|threads| {
        tch::set_num_threads(threads);
        found(SHAPES[5], true)
    });
    tch::set_num_threads(1);
    assert_eq!(one, three);
}
