"""The other half of worker/training/src/model/tests/torchvision.rs: torchvision's answers to Convoy's weights.

    python3 compare.py FOLDER NAME...

For each network NAME, with 10 classes, FOLDER/NAME.exported.safetensors (written by Convoy) is loaded with strict=True. Its
logits and those of a network with weights of torchvision's own, which are saved as NAME.torchvision.safetensors, go to
NAME.answers.safetensors, with the images they are for. Status 77 says that a library is missing.
"""

import sys

try:
    import torch
    import torchvision
    from safetensors.torch import load_file, save_file
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(77)

CLASSES = 10


def logits(network, images):
    """In eval mode first: in train mode BatchNorm moves its running statistics."""
    with torch.no_grad():
        in_eval = network.eval()(images)
        in_train = network.train()(images)
    return in_eval, in_train


def main(folder, names):
    torch.set_num_threads(1)
    for name in names:
        generator = torch.Generator().manual_seed(1)
        images = torch.randn(4, 3, 64, 64, generator=generator)
        exported = getattr(torchvision.models, name)(weights=None, num_classes=CLASSES)
        exported.load_state_dict(load_file(f"{folder}/{name}.exported.safetensors"), strict=True)
        ours_eval, ours_train = logits(exported, images)

        torch.manual_seed(2)
        own = getattr(torchvision.models, name)(weights=None, num_classes=CLASSES)
        # So that running statistics, scales and shifts are not what every network starts with.
        for key, tensor in own.state_dict().items():
            if ".bn" in key or key.startswith("bn") or "downsample.1" in key:
                if tensor.dtype == torch.float32:
                    tensor.uniform_(0.5, 1.0)
        save_file(own.state_dict(), f"{folder}/{name}.torchvision.safetensors")
        theirs_eval, theirs_train = logits(own, images)

        answers = {
            "images": images,
            "exported.eval": ours_eval,
            "exported.train": ours_train,
            "torchvision.eval": theirs_eval,
            "torchvision.train": theirs_train,
        }
        save_file({key: value.contiguous() for key, value in answers.items()}, f"{folder}/{name}.answers.safetensors")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
