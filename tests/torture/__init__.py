"""Power-loss torture: every write, sync and directory change of what the product does is a moment at which it ends."""
