"""The network: architecture, layers, convolutions. Nothing is imported here: `architecture` needs no torch."""
