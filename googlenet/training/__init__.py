"""Training and measuring: data, loop, evaluation. The network's page needs none of it."""
