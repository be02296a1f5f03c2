"""Objects followed from frame to frame, where they are, and what follows from it."""
