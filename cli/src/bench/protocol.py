"""One end of a benchmark: a line of JSON for each turn in, a line of JSON out; see worker/src/bench."""

import argparse
import ctypes
import json
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent):
    """The kernel ends this process when the one that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")


class Member:
    """This process among those that work together."""

    def __init__(self):
        parser = argparse.ArgumentParser()
        for name in ("--rank", "--world", "--parent-pid"):
            parser.add_argument(name, type=int, required=True)
        parser.add_argument("--config")
        arguments = parser.parse_args()
        die_with_parent(arguments.parent_pid)
        self.rank, self.world = arguments.rank, arguments.world
        self.config = arguments.config
        # What libraries print goes to standard error.
        self.out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def tell(self, answer):
        self.out.write(json.dumps(answer) + "\n")
        self.out.flush()

    def turns(self):
        """Waits, blocked, for each turn; ends with the input."""
        for line in sys.stdin:
            yield json.loads(line)

    def join(self):
        """A Gloo group of all members over loopback. False if the input ended before."""
        import torch.distributed as dist

        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        host, store = "127.0.0.1", None
        if self.rank == 0:
            store = dist.TCPStore(host, 0, self.world, is_master=True, wait_for_workers=False)
        self.tell({"listening": f"{host}:{store.port}" if store else ""})
        line = sys.stdin.readline()
        if not line:
            return False
        if self.world == 1:
            return True
        if store is None:
            port = int(json.loads(line)["peers"][0].rsplit(":", 1)[1])
            store = dist.TCPStore(host, port, self.world, is_master=False)
        dist.init_process_group("gloo", store=store, rank=self.rank, world_size=self.world)
        return True


