"""Writes state_dicts.txt: names, types and shapes of torchvision's ResNets, in the order of state_dict().

    python3 state_dicts.py > state_dicts.txt        (with torch and torchvision)

The test `resnets_have_the_tensors_of_torchvision` compares Convoy's networks with it.
"""

import torch
import torchvision

DTYPES = {torch.float32: "F32", torch.int64: "I64"}

print(f"# torchvision {torchvision.__version__.partition('+')[0]}, written by state_dicts.py; name, type, shape")
for name in ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]:
    print(f"[{name}]")
    for key, tensor in getattr(torchvision.models, name)(weights=None).state_dict().items():
        shape = "x".join(str(side) for side in tensor.shape) or "scalar"
        print(key, DTYPES[tensor.dtype], shape)
