"""The tartlet daemon for a Raspberry Pi: owns the camera, runs the model, answers."""

__version__ = "0.1.0"
