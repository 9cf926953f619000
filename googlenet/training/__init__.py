"""Training and evaluation. The page imports nothing of this package."""
