"""Bundles and messages that were changed by chance or by somebody: what gets through, what crashes.

Each case starts from something whole and changes it in one of the ways below; the same cases in
every run.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.row import Row
from tartlet_device.store import Store
from tartlet_host.remote import probe
from tartlet_shared import bundle as bundles
from tartlet_shared import (
    canonical,
    errors,
    manifest,
    picture_messages,
    push_messages,
    signature,
    wire,
)
from tartlet_shared.bundle import Bundle
from tartlet_shared.signature import PublicKey, TrustedKeys

CASES = 50_000
"""For the bundle, and as many for the wire."""
MOST_MB = 32.0
"""Memory may grow by so much."""

Change = Callable[[random.Random, bytes], bytes]


def run() -> list[Row]:
    """Two rows, both of which must be 0."""
    with tempfile.TemporaryDirectory() as name:
        whole = probe.write_bundle(Path(name) / "whole")
        before_mb = _peak_mb()
        accepted, crashed = _bundles(whole, Path(name) / "store")
        read, more = _messages()
        grown_mb = _peak_mb() - before_mb
    print(
        f"{CASES} bundles: {accepted} accepted; {CASES} streams: {read} gave no reason to "
        f"complain, {crashed + more} crashes; memory grew by {grown_mb:.1f} MB",
        file=sys.stderr,
    )
    wrong, big = accepted + crashed + more, grown_mb > MOST_MB
    return [
        Row(
            name=f"{2 * CASES} changed bundles and messages: accepted or crashed",
            ours=wrong,
            rival=0,
            ratio=wrong,
            goal=0,
            holds=wrong == 0,
        ),
        Row(
            name="the same: memory grew by",
            ours=grown_mb,
            rival=MOST_MB,
            ratio=grown_mb / MOST_MB,
            goal=1,
            holds=not big,
            unit="MB",
        ),
    ]


def _bundles(whole: Bundle, root: Path) -> tuple[int, int]:
    """Offered to a store that trusts a key; how many were taken, and how many crashed it."""
    key = Ed25519PrivateKey.generate()
    store = Store(root)
    ours = PublicKey(name="ours", public=key.public_key().public_bytes_raw().hex())
    listed = TrustedKeys(device=store.trusted().device, version=1, keys=(ours,))
    statement = canonical.encode(listed)
    store.trust(statement, signature.sign(statement, signature.TRUST_PURPOSE, key))
    content = bundles.read_manifest(whole.folder)
    record = signature.sign(content, signature.MANIFEST_PURPOSE, key)
    store.offer(content, record)  # the whole one is taken
    changes = (*_BYTES, *_JSON)
    drawn = random.Random(1)
    accepted = crashed = 0
    for number in range(CASES):
        change = changes[number % len(changes)]
        which = drawn.random() < 0.8
        bad = change(drawn, content if which else record)
        if bad == (content if which else record):
            continue
        try:
            store.offer(*((bad, record) if which else (content, bad)))
            accepted += 1
        except errors.TartletError:
            pass
        except Exception as error:  # noqa: BLE001  what is counted
            print(f"{change.__name__}: {error!r}", file=sys.stderr)
            crashed += 1
        if which:
            crashed += _reads_manifest(bad)
    return accepted, crashed


def _reads_manifest(content: bytes) -> int:
    """Without a key nothing stands before the parser: 1 if that crashes, else 0."""
    try:
        manifest.decode(content)
    except errors.TartletError:
        return 0
    except Exception as error:  # noqa: BLE001  what is counted
        print(f"the manifest: {error!r}", file=sys.stderr)
        return 1
    return 0


def _messages() -> tuple[int, int]:
    """How many changed streams were messages all the same, or beginnings of some; how many crashed
    the decoder."""
    whole = [
        wire.encode(push_messages.HaveRequest(request_id=1, digest="0" * 64)),
        wire.encode(push_messages.OfferRequest(request_id=2, manifest=b"{}" * 100)),
        wire.encode(picture_messages.PredictRequest(request_id=3, picture=b"\xff\xd8" * 50)),
        wire.encode(push_messages.ActivateRequest(request_id=4, digest="a" * 64)),
    ]
    drawn = random.Random(2)
    read = crashed = 0
    for number in range(CASES):
        change = _BYTES[number % len(_BYTES)]
        stream = change(drawn, b"".join(drawn.sample(whole, drawn.randint(1, 4))))
        decoder = wire.Decoder()
        try:
            while stream:
                size = drawn.randint(1, 64)
                decoder.feed(stream[:size])
                stream = stream[size:]
            read += 1
        except errors.TartletError:
            pass
        except Exception as error:  # noqa: BLE001  what is counted
            print(f"{change.__name__}: {error!r}", file=sys.stderr)
            crashed += 1
    return read, crashed


# -- ways to change bytes


def _flip(drawn: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(drawn.choice((1, 1, 1, 2, 8))):
        changed[drawn.randrange(len(changed))] ^= 1 << drawn.randrange(8)
    return bytes(changed)


def _cut(drawn: random.Random, content: bytes) -> bytes:
    return content[: drawn.randrange(len(content))]


def _insert(drawn: random.Random, content: bytes) -> bytes:
    at = drawn.randrange(len(content))
    return content[:at] + drawn.randbytes(drawn.choice((1, 2, 8, 100))) + content[at:]


def _remove(drawn: random.Random, content: bytes) -> bytes:
    at = drawn.randrange(len(content))
    return content[:at] + content[at + drawn.choice((1, 2, 8)) :]


def _repeat(drawn: random.Random, content: bytes) -> bytes:
    start, end = sorted(drawn.sample(range(len(content) + 1), 2))
    return content[:end] + content[start:end] * drawn.choice((1, 3)) + content[end:]


def _rubbish(drawn: random.Random, content: bytes) -> bytes:
    return drawn.randbytes(drawn.randrange(1, 300))


def _huge_length(drawn: random.Random, content: bytes) -> bytes:
    """Lengths of MessagePack and of our frames, as large as they go."""
    at = drawn.randrange(len(content))
    head = drawn.choice((b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc9", b""))
    return content[:at] + head + b"\xff" * 4 + content[at:]


def _deep(drawn: random.Random, content: bytes) -> bytes:
    depth = drawn.choice((100, 10_000))
    opening = drawn.choice((b"[", b'{"a":', b"\x91", b"\x81\xa1a"))
    return content[:4] + opening * depth + content[4:]


_BYTES: tuple[Change, ...] = (
    *(_flip, _cut, _insert, _remove),
    *(_repeat, _rubbish, _huge_length, _deep),
)

# -- ways to change what the JSON says


def _edit(drawn: random.Random, content: bytes, edit: Callable[[dict[str, object]], None]) -> bytes:
    try:
        tree = json.loads(content)
        edit(tree)
    except (ValueError, TypeError, KeyError):
        return content + b" "
    return json.dumps(tree, separators=(",", ":")).encode()


def _other_path(drawn: random.Random, content: bytes) -> bytes:
    names = ("../x", "/etc/passwd", "a/../../b", "C:\\x", "a\0b", ".", "", "x" * 5000, "model\n")

    def edit(tree: dict[str, object]) -> None:
        files = tree["files"]
        assert isinstance(files, list)
        drawn.choice(files)["name"] = drawn.choice(names)

    return _edit(drawn, content, edit)


def _other_number(drawn: random.Random, content: bytes) -> bytes:
    numbers = (-1, 0, 1 << 62, 1 << 64, 10**300, 0.5, True, None, "7")

    def edit(tree: dict[str, object]) -> None:
        files = tree["files"]
        assert isinstance(files, list)
        drawn.choice(files)["size"] = drawn.choice(numbers)

    return _edit(drawn, content, edit)


def _swapped(drawn: random.Random, content: bytes) -> bytes:
    def edit(tree: dict[str, object]) -> None:
        files = tree["files"]
        assert isinstance(files, list)
        first, second = drawn.sample(files, 2)
        first["sha256"], second["sha256"] = second["sha256"], first["sha256"]

    return _edit(drawn, content, edit)


def _other_value(drawn: random.Random, content: bytes) -> bytes:
    values: tuple[object, ...] = (None, [], {}, "", 0, -1, "x" * 70_000, [[]], {"a": 1})

    def edit(tree: dict[str, object]) -> None:
        tree[drawn.choice(list(tree))] = drawn.choice(values)

    return _edit(drawn, content, edit)


def _twice(drawn: random.Random, content: bytes) -> bytes:
    """A key that stands twice: parsers disagree about which of them counts."""
    return content[:1] + b'"name":"other",' + content[1:]


_JSON: tuple[Change, ...] = (_other_path, _other_number, _swapped, _other_value, _twice)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
