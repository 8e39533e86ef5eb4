//! Networks by themselves.

mod overfitting;
mod starting_weights;
mod torchvision;

use convoy_common::spec::Stem;
use tch::{Device, Kind};

use super::*;

const COLOUR: ImageShape = ImageShape {
    channels: 3,
    height: 32,
    width: 32,
};

/// Written by state_dicts.py beside it from torchvision itself.
const TORCHVISION: &str = include_str!("../../testdata/state_dicts.txt");

const RESNETS: [ModelName; 5] = [
    ModelName::Resnet18,
    ModelName::Resnet34,
    ModelName::Resnet50,
    ModelName::Resnet101,
    ModelName::Resnet152,
];

/// Values from 0 to 1 that look random. libtorch's generator stays untouched: another test may be drawing weights from it.
pub(super) fn noise(shape: &[i64], kind: Kind) -> Tensor {
    let count: i64 = shape.iter().product();
    let index = Tensor::arange(count, (Kind::Double, Device::Cpu));
    let values = (index * 12.9898).sin() * 43_758.547;
    (&values - values.floor()).reshape(shape).to_kind(kind)
}

fn cifar(name: ModelName, classes: u32) -> ModelSpec {
    ModelSpec {
        stem: Stem::Cifar,
        ..ModelSpec::new(name, classes)
    }
}

/// Name, type and shape of every entry, as the list has them.
fn state_lines(model: &Model) -> Vec<String> {
    let line = |entry: StateEntry<'_>| match entry.tensor {
        None => format!("{} I64 scalar", entry.name),
        Some(tensor) => {
            assert_eq!(tensor.kind(), Kind::Float);
            let sides: Vec<String> = tensor.size().iter().map(i64::to_string).collect();
            format!("{} F32 {}", entry.name, sides.join("x"))
        }
    };
    model.registry.state().map(line).collect()
}

#[test]
fn resnets_have_the_tensors_of_torchvision() {
    for name in RESNETS {
        let heading = format!("[{name}]");
        let expected: Vec<&str> = TORCHVISION
            .lines()
            .skip_while(|line| *line != heading)
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .collect();
        let model = build(&ModelSpec::new(name, 1000), COLOUR, 1).unwrap();
        assert!(expected.len() > 100, "{name} is in the list");
        assert_eq!(state_lines(&model), expected, "{name}");
    }
}

#[test]
fn the_cifar_stem_differs_in_its_first_convolution_alone() {
    let imagenet = build(&ModelSpec::new(ModelName::Resnet18, 10), COLOUR, 1).unwrap();
    let small = build(&cifar(ModelName::Resnet18, 10), COLOUR, 1).unwrap();
    let (imagenet, small) = (state_lines(&imagenet), state_lines(&small));
    assert_eq!(imagenet[0], "conv1.weight F32 64x3x7x7");
    assert_eq!(small[0], "conv1.weight F32 64x3x3x3");
    assert_eq!(imagenet[1..], small[1..]);
}

#[test]
fn resnets_start_as_torchvision_draws_them_and_from_the_seed_alone() {
    let spec = ModelSpec::new(ModelName::Resnet50, 10);
    let models = [1, 1, 2].map(|seed| build(&spec, COLOUR, seed).unwrap());
    let tensor = |model: &Model, name: &str| {
        let mut state = model.registry.state();
        let entry = state.find(|entry| entry.name == name).unwrap();
        entry.tensor.unwrap().shallow_clone()
    };
    // Deviation sqrt(2 / (outputs * side^2)) whatever the inputs.
    for (name, fan_out) in [
        ("conv1.weight", 64.0 * 49.0),
        ("layer2.1.conv2.weight", 128.0 * 9.0),
        ("layer4.0.downsample.0.weight", 2048.0),
    ] {
        let values = tensor(&models[0], name);
        let found = values.std(true).double_value(&[]);
        let expected = (2.0f64 / fan_out).sqrt();
        assert!(
            (found / expected - 1.0).abs() < 0.03,
            "{name}: {found}, not {expected}"
        );
        assert_eq!(values, tensor(&models[1], name));
        assert_ne!(values, tensor(&models[2], name));
    }
    let bound = 1.0 / 2048.0f64.sqrt();
    let head = tensor(&models[0], "fc.weight");
    let largest = head.abs().max().double_value(&[]);
    assert!(largest <= bound && largest > 0.99 * bound, "{largest}");
    for (name, value) in [
        ("layer3.0.bn3.weight", 1.0),
        ("layer3.0.bn3.bias", 0.0),
        ("layer3.0.bn3.running_mean", 0.0),
        ("layer3.0.bn3.running_var", 1.0),
    ] {
        let values = tensor(&models[0], name);
        assert_eq!(values, values.full_like(value), "{name}");
    }
}

#[test]
fn resnets_take_images_of_any_size_and_channels() {
    let side = |side: usize| ImageShape {
        channels: 1,
        height: side,
        width: side + 1,
    };
    for shape in [side(1), side(28), side(33)] {
        for spec in [
            ModelSpec::new(ModelName::Resnet18, 7),
            cifar(ModelName::Resnet50, 7),
        ] {
            let model = build(&spec, shape, 1).unwrap();
            let dimensions = [2, shape.channels, shape.height, shape.width].map(signed);
            let images = noise(&dimensions, Kind::Float);
            for pass in [Pass::Training { seed: 0 }, Pass::Evaluation] {
                let scores = tch::no_grad(|| model.network.forward(&images, pass)).unwrap();
                assert_eq!(scores.size(), [2, 7]);
                assert!(bool::try_from(scores.isfinite().all()).unwrap());
            }
        }
    }
}

#[test]
fn images_that_small_cnn_cannot_halve_twice_are_refused() {
    let shape = ImageShape {
        channels: 1,
        height: 3,
        width: 8,
    };
    let error = build(&ModelSpec::new(ModelName::SmallCnn, 4), shape, 1)
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "small_cnn needs images of at least 4x4 pixels, the dataset has 3x8; take a dataset with larger images or another \
         model.name"
    );
}

/// Images and convolutions laid out channels last; everything else as it is.
fn channels_last(tensor: &Tensor) -> Tensor {
    if tensor.dim() != 4 {
        return tensor.shallow_clone();
    }
    let moved = tensor.permute([0, 2, 3, 1]).contiguous();
    moved.permute([0, 3, 1, 2])
}

/// Scores, and the gradient of the first convolution. In f64, since a ReLU that a rounding switches changes f32 gradients by
/// a percent.
fn compute(spec: &ModelSpec, images: &Tensor, lay_out: impl Fn(&Tensor) -> Tensor) -> [Tensor; 2] {
    let mut model = build(spec, COLOUR, 1).unwrap();
    let Registry {
        parameters,
        buffers,
        ..
    } = &mut model.registry;
    for named in parameters.iter_mut().chain(buffers) {
        let values = lay_out(&named.tensor.detach().to_kind(Kind::Double));
        named.tensor.set_data(&values);
    }
    let pass = Pass::Training { seed: 0 };
    let scores = model.network.forward(&lay_out(images), pass).unwrap();
    scores.square().sum(Kind::Double).backward();
    let first = &model.registry.parameters[0].tensor;
    assert_eq!(first.is_contiguous(), lay_out(images).is_contiguous());
    [scores.detach(), first.grad()]
}

#[test]
fn networks_compute_the_same_channels_last() {
    for spec in [
        ModelSpec::new(ModelName::SmallCnn, 5),
        cifar(ModelName::Resnet18, 5),
        ModelSpec::new(ModelName::Resnet50, 5),
    ] {
        let images = noise(&[4, 3, 32, 32], Kind::Double);
        let usual = compute(&spec, &images, Tensor::shallow_clone);
        let last = compute(&spec, &images, channels_last);
        for (one, other) in usual.iter().zip(&last) {
            let difference = ((one - other).norm() / one.norm()).double_value(&[]);
            assert!(difference < 1e-6, "{}: {difference}", spec.name);
        }
    }
}
