"""Pictures: a file → an upright RGB picture, within limits, → the network's input. Only `images` imports PyTorch."""
