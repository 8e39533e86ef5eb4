"""Makes the benchmark's own virtual environment, or says which PyTorch one has."""

import argparse
import os
import sys


def install(folder, requirements):
    import venv

    os.dup2(2, 1)
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        venv.create(folder, with_pip=True)
    # What the kernel was asked for stays asked for across exec.
    os.execv(python, [python, "-m", "pip", "install", "--disable-pip-version-check", *requirements])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent-pid", type=int, required=True)
    parser.add_argument("--install")
    parser.add_argument("requirements", nargs="*")
    arguments = parser.parse_args()
    die_with_parent(arguments.parent_pid)
    if arguments.install:
        install(arguments.install, arguments.requirements)
    import torch

    print(torch.__version__)


main()
