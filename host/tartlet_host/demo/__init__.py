"""The whole path on one machine: ``tartlet demo``."""
