"""Training and evaluation. The page needs nothing from here."""
