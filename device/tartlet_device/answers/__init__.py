"""Answers that take more than a few lines; `tartlet_device.handlers` has the table."""
