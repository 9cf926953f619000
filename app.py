"""The entry point of a Space and of `python app.py`: the same as `googlenet serve`."""

import contextlib
import sys

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  # on a Space with ZeroGPU: before anything imports torch

from googlenet.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
