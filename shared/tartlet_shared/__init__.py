"""What the laptop and the Raspberry Pi must agree on, byte for byte.

No I/O and no heavy library in here: numpy and msgspec only.
"""

__version__ = "0.1.0"
