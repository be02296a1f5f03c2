"""Detection without being asked: frame after frame, for as long as the daemon runs."""
