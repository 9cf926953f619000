"""Opens picture files within limits and prepares pictures for the network. Only `images` imports PyTorch."""
