"""Training: the loop, its schedules and the checkpoint file."""
