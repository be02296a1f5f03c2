"""The detector: backbone, path-aggregation neck, anchor-free head, and what training minimises."""
