"""Training steps of PyTorch, eager, as its users write them."""

import contextlib
import gzip
import json
import os
import struct
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, RandomSampler


class SmallCnn(nn.Module):
    """As worker/training/src/model/small_cnn.rs."""

    def __init__(self, shape, classes):
        super().__init__()
        channels, height, width = shape
        self.conv1 = nn.Conv2d(channels, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.fc1 = nn.Linear(64 * (height // 4) * (width // 4), 256)
        self.fc2 = nn.Linear(256, classes)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.bn1(self.conv1(x)), 2))
        x = F.relu(F.max_pool2d(self.bn2(self.conv2(x)), 2))
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


class Block(nn.Module):
    """torchvision's BasicBlock."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + identity)


class Resnet18(nn.Module):
    """torchvision's resnet18, or with the stem for small images."""

    def __init__(self, shape, classes, stem):
        super().__init__()
        if stem == "cifar":
            self.stem = nn.Conv2d(shape[0], 64, 3, 1, 1, bias=False)
            self.pool = nn.Identity()
        else:
            self.stem = nn.Conv2d(shape[0], 64, 7, 2, 3, bias=False)
            self.pool = nn.MaxPool2d(3, 2, 1)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        widths = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        blocks = [[Block(i, o, s), Block(o, o, 1)] for i, o, s in widths]
        self.blocks = nn.Sequential(*(block for pair in blocks for block in pair))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.pool(self.relu(self.bn1(self.stem(x))))
        x = F.adaptive_avg_pool2d(self.blocks(x), 1)
        return self.fc(torch.flatten(x, 1))


def model(config):
    spec, shape = config["model"], config["shape"]
    if spec["name"] == "small_cnn":
        return SmallCnn(shape, spec["classes"])
    if spec["name"] == "resnet18":
        return Resnet18(shape, spec["classes"], spec.get("stem", "imagenet"))
    raise SystemExit(f"no model {spec['name']} here")


class Contender:
    """A model and its optimizer in one memory format."""

    def __init__(self, config, channels_last, world):
        torch.manual_seed(1)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.net = model(config).to(memory_format=self.format)
        self.sync = self.net
        if world > 1:
            self.sync = nn.parallel.DistributedDataParallel(self.net, gradient_as_bucket_view=True)
        optimizer = config["optimizer"]
        self.optimizer = torch.optim.SGD(
            self.net.parameters(),
            lr=optimizer["learning_rate"],
            momentum=optimizer["momentum"],
            nesterov=optimizer["nesterov"],
            weight_decay=optimizer["weight_decay"],
            fused=True,
        )
        self.world = world

    def step(self, micro_batches):
        """One update from micro-batches of equal size; gradients travel with the last one. The last loss, not read."""
        self.optimizer.zero_grad(set_to_none=True)
        last = len(micro_batches) - 1
        for index, (images, labels) in enumerate(micro_batches):
            alone = self.world > 1 and index < last
            with self.sync.no_sync() if alone else contextlib.nullcontext():
                loss = F.cross_entropy(self.sync(images), labels)
                (loss / len(micro_batches) if last > 0 else loss).backward()
        self.optimizer.step()
        return loss.detach()


def fixed_batch(config, member):
    """This member's part of the batch that Convoy's members have."""
    own = config["batch"] // member.world
    channels, height, width = config["shape"]
    values = channels * height * width
    first = member.rank * own
    index = torch.arange(first * values, (first + own) * values, dtype=torch.int64)
    mixed = (index * 2654435761) & 0xFFFFFFFF
    images = (mixed.to(torch.float64) / 2**31 - 1.0).to(torch.float32)
    labels = torch.arange(first, first + own) % config["model"]["classes"]
    return images.view(own, channels, height, width), labels


def idx(path):
    """A file of Fashion-MNIST, plain or compressed."""
    path = path.removesuffix(".gz")
    opened = open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz", "rb")
    with opened as file:
        bytes = file.read()
    dimensions = struct.unpack(f">{bytes[3]}I", bytes[4 : 4 + 4 * bytes[3]])
    body = bytearray(bytes[4 + 4 * bytes[3] :])
    return torch.frombuffer(body, dtype=torch.uint8).view(dimensions)


class Images(Dataset):
    """What torchvision's RandomCrop, RandomHorizontalFlip, ToTensor and Normalize do, on tensors."""

    def __init__(self, data):
        self.images, self.labels = idx(data["train_images"]), idx(data["train_labels"]).long()
        self.mean, self.std = torch.tensor(data["mean"]), torch.tensor(data["std"])
        self.padding, self.flip = data["augment"]["crop_padding"], data["augment"]["flip"]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index].unsqueeze(0)
        _, height, width = image.shape
        padded = F.pad(image, [self.padding] * 4)
        top, left = torch.randint(0, 2 * self.padding + 1, (2,)).tolist()
        image = padded[:, top : top + height, left : left + width]
        if self.flip and torch.rand(1) < 0.5:
            image = image.flip(-1)
        image = image.to(torch.float32).div_(255)
        image = image.sub_(self.mean.view(-1, 1, 1)).div_(self.std.view(-1, 1, 1))
        return image, self.labels[index]


class LoaderStart:
    """What a loader's process does first: it must not outlive this one."""

    def __init__(self):
        self.parent = os.getpid()

    def __call__(self, _):
        die_with_parent(self.parent)


class Bench:
    def __init__(self, config, member):
        self.config, self.member = config, member
        self.contenders = {}
        self.batch = fixed_batch(config, member)
        self.images = Images(config["data"]) if config.get("data") else None

    def contender(self, channels_last):
        if channels_last not in self.contenders:
            made = Contender(self.config, channels_last, self.member.world)
            self.contenders[channels_last] = made
        return self.contenders[channels_last]

    def fixed(self, contender, count):
        """The same micro-batches for ever."""
        images, labels = self.batch
        micro_batches = [
            (part.contiguous(memory_format=contender.format), target)
            for part, target in zip(images.chunk(count), labels.chunk(count))
        ]
        while True:
            yield micro_batches

    def loaded(self, contender, count, workers):
        """Epoch after epoch from a DataLoader."""
        if self.member.world > 1:
            sampler = DistributedSampler(self.images, self.member.world, self.member.rank)
        else:
            sampler = RandomSampler(self.images)
        loader = DataLoader(
            self.images,
            batch_size=self.config["batch"] // self.member.world,
            sampler=sampler,
            num_workers=workers,
            drop_last=True,
            persistent_workers=workers > 0,
            worker_init_fn=LoaderStart(),
        )
        while True:
            for images, labels in loader:
                images = images.contiguous(memory_format=contender.format)
                yield list(zip(images.chunk(count), labels.chunk(count)))

    def turn(self, turn):
        contender = self.contender(turn["channels_last"])
        count, workers = turn["micro_batches"], turn.get("loader_workers")
        if workers is None:
            batches = self.fixed(contender, count)
        else:
            batches = self.loaded(contender, count, workers)
        seconds = []
        start = time.perf_counter()
        for step in range(turn["warm_up"] + turn["steps"]):
            loss = contender.step(next(batches))
            end = time.perf_counter()
            if step >= turn["warm_up"]:
                seconds.append(end - start)
            start = end
        # Ends the loader's processes before the others have their turn.
        batches.close()
        return {"seconds": seconds, "loss": loss.item()}


def serve(member):
    torch.set_num_threads(1)
    config = json.loads(member.config)
    if not member.join():
        return
    bench = Bench(config, member)
    member.tell({"ready": {"version": torch.__version__, "optimizer": "SGD, fused"}})
    for turn in member.turns():
        member.tell(bench.turn(turn))


serve(Member())
