"""Experiments on a picture: covering, what tipped an answer, tests of maps, channels; pictures of what channels look for."""
