"""Coverage-guided fuzzing of everything that takes bytes from the other side, by hand:

    pip install atheris && python tests/shared/fuzz.py wire|manifest|detections [seconds]

An error of tartlet's own tree is the right answer to rubbish; any other exception is a finding.
"""

from __future__ import annotations

import contextlib
import sys

from tartlet_shared import errors, manifest, messages, wire


def fuzz_wire(data: bytes) -> None:
    """Feed in two pieces, as a socket would."""
    decoder = wire.Decoder(max_frame=1 << 16)
    decoder.feed(data[: len(data) // 2])
    for message in decoder.feed(data[len(data) // 2 :]):
        wire.encode(message)


def fuzz_manifest(data: bytes) -> None:
    manifest.encode(manifest.decode(data))


def fuzz_detections(data: bytes) -> None:
    third = len(data) // 6
    messages.unpack(
        messages.DetectionColumns(
            xyxy=data[: 4 * third], score=data[4 * third : 5 * third], class_id=data[5 * third :]
        )
    )


TARGETS = {"wire": fuzz_wire, "manifest": fuzz_manifest, "detections": fuzz_detections}


def main() -> None:
    import atheris  # not a dependency: no wheels for every Python

    target = TARGETS[sys.argv[1]]
    seconds = sys.argv[2] if len(sys.argv) > 2 else "60"

    def one(data: bytes) -> None:
        with contextlib.suppress(errors.TartletError):
            target(data)

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
