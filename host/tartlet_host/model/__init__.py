"""The detector: EfficientNet-Lite0 backbone, path-aggregation neck, anchor-free head."""
