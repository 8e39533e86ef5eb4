"""All-reduces of PyTorch's Gloo backend: in place, sums of f32, one after the other."""

import time

import torch
import torch.distributed as dist

CHECK_RANGE = 1 << 16
SMALL = 1e-30
# Values are made and checked in portions, so that 256 MiB do not need many times their memory.
PORTION = 1 << 20


def value(rank, start, end):
    """What a rank puts there; Convoy's member puts the same. Sums are exact in f32."""
    index = torch.arange(start, end, dtype=torch.int64)
    return ((index * 31 + rank * 977) % CHECK_RANGE).to(torch.float32)


def portions(elements):
    for start in range(0, elements, PORTION):
        yield start, min(start + PORTION, elements)


def serve(member):
    torch.set_num_threads(1)
    if not member.join():
        return
    member.tell({"ready": {"version": torch.__version__}})
    for turn in member.turns():
        elements = turn["elements"]
        buffer = torch.empty(elements, dtype=torch.float32)
        for start, end in portions(elements):
            buffer[start:end] = value(member.rank, start, end)
        dist.all_reduce(buffer)
        wrong = 0
        for start, end in portions(elements):
            expected = sum(value(rank, start, end) for rank in range(member.world))
            wrong += int((buffer[start:end] != expected).sum())
        buffer.fill_(SMALL)
        for _ in range(turn["warm_up"]):
            dist.all_reduce(buffer)
        begin = time.perf_counter()
        for _ in range(turn["iterations"]):
            dist.all_reduce(buffer)
        seconds = time.perf_counter() - begin
        del buffer
        member.tell({"seconds": [seconds], "wrong": wrong})


serve(Member())
