"""A run around training: its loop, folder, checkpoints, metrics, and taking it up again."""
