"""The laptop side of tartlet: train, prune, quantize, push, predict."""

__version__ = "0.1.0"
