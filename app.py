"""The entry point of a Space and of `python app.py`: the same as `googlenet serve`."""

import sys

from googlenet.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
