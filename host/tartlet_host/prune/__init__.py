"""Structured pruning by dependency groups."""
