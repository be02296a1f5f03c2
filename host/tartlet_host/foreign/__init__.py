"""Models that others trained: recognised, checked on a picture, sealed into a bundle."""
