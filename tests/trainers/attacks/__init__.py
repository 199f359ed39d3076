"""What strangers send: runs and checkpoints."""
