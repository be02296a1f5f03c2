"""Manifests and bundles: what is sealed opens, anything else is refused with the field's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tartlet_shared import bundle, errors, manifest, signature
from tartlet_shared.affine import Affine
from tartlet_shared.manifest import CellDecoding, Golden, Level, Manifest, Preprocessing, Tensor
from tests.signing_keys import signed, trusted

SCORES = Affine(scale=0.1, zero_point=0)


def make_bundle(folder: Path) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "golden").mkdir(exist_ok=True)
    (folder / "model.tflite").write_bytes(b"not really a model")
    (folder / "golden" / "0.png").write_bytes(b"not really a picture")
    made = Manifest(
        name="people",
        created="2026-11-21T10:00:00Z",
        runtime="litert",
        model="model.tflite",
        labels=("person",),
        input=Tensor(name="in", shape=(1, 256, 320, 3), dtype="int8", affine=SCORES),
        outputs=(
            Tensor(name="s", shape=(1, 32, 40, 1), dtype="int8", affine=SCORES),
            Tensor(name="b", shape=(1, 32, 40, 4), dtype="int8", affine=SCORES),
        ),
        preprocessing=Preprocessing(width=320, height=256),
        decoding=CellDecoding(levels=(Level(stride=8, scores=0, boxes=1),)),
        golden=(
            Golden(
                picture="golden/0.png",
                detections=(manifest.Expected(xyxy=(1.0, 2.0, 3.0, 4.0), score=0.9, class_id=0),),
            ),
        ),
        files=tuple(bundle.file_entry(folder, name) for name in ("model.tflite", "golden/0.png")),
    )
    (folder / manifest.MANIFEST_NAME).write_bytes(manifest.encode(made))
    return made


def test_a_sealed_bundle_opens(tmp_path: Path) -> None:
    made = make_bundle(tmp_path)
    opened = bundle.open_bundle(tmp_path)
    assert opened.manifest == made
    assert opened.digest == manifest.digest((tmp_path / "manifest.json").read_bytes())
    assert bundle.open_bundle(tmp_path, expected_digest=opened.digest).digest == opened.digest


def remove_model(folder: Path) -> None:
    (folder / "model.tflite").unlink()


def truncate_model(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"not really")


def flip_a_bit(folder: Path) -> None:
    (folder / "golden/0.png").write_bytes(b"not really a picturf")


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def truncate_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:-40])


def huge_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b" " * (1 << 20) + b"{}")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove_model, "model.tflite"),
        (truncate_model, "10 bytes"),
        (flip_a_bit, "golden"),
        (remove_manifest, "no manifest"),
        (truncate_manifest, "not valid"),
        (huge_manifest, "larger than"),
    ],
)
def test_a_damaged_bundle_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    make_bundle(tmp_path)
    damage(tmp_path)
    with pytest.raises(errors.BundleCorrupt, match=said):
        bundle.open_bundle(tmp_path)


def test_another_bundle_than_the_expected_one_is_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    with pytest.raises(errors.BundleCorrupt, match="not 000000000000"):
        bundle.open_bundle(tmp_path, expected_digest="0" * 64)


def change(content: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
    for key in parents:
        content = content[key]  # type: ignore[index]
    content[last] = value  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", 2, "format"),
        ("runtime", "pickle", "runtime"),
        ("surprise", 1, "surprise"),
        ("labels", [], "labels"),
        ("labels", ["person", "person"], "labels"),
        ("labels", ["person", "dog"], "2 labels"),
        ("input.shape", [1, 255, 320, 3], "input shape"),
        ("input.shape", [1, 0, 320, 3], "shape"),
        ("input.affine", None, "affine"),
        ("input.affine.scale", 0.0, "scale"),
        ("outputs.0.dtype", "float32", "affine"),
        ("outputs.1.shape", [1, 32, 40, 5], "output 1"),
        ("decoding.levels.0.boxes", 9, "stride 8"),
        ("decoding.levels.0.stride", 16, "stride 16"),
        ("decoding.score_threshold", 1.5, "score_threshold"),
        ("decoding.class_thresholds", [0.5, 0.5], "2 class thresholds, 1 labels"),
        ("decoding.class_thresholds", [-0.1], "class_thresholds"),
        ("preprocessing.std", 0.0, "std"),
        ("files.0.name", "../../etc/passwd", "not allowed"),
        ("files.0.name", "/etc/passwd", "not allowed"),
        ("files.0.name", "manifest.json", "not allowed"),
        ("files.0.sha256", "abc", "sha256"),
        ("files.0.size", -1, "size"),
        ("files.0.name", "a/b/c", "not allowed"),
        ("files.0.name", "..", "not allowed"),
        ("files.0.name", "golden/..", "not allowed"),
        ("files.0.name", "model.tflite\n", "not allowed"),
        ("files.0.name", "C:model.tflite", "not allowed"),
        ("files.0.name", "golden\\0.png", "not allowed"),
        ("files.0.name", "Manifest.JSON", "not allowed"),
        ("files.0.name", "manifest.sig", "not allowed"),
        ("files.0.name", "m" * 101, "name"),
        ("files.0.name", "Golden/0.PNG", "twice"),
        ("files.0.name", "golden", "both a file and a folder"),
        ("files.0.size", (1 << 30) + 1, "size"),
        ("files.0.size", 1 << 200, "size"),
        ("files.0.sha256", "a" * 64 + "\n", "sha256"),
        ("files.0.sha256", "A" * 64, "sha256"),
        ("name", "n" * 501, "name"),
        ("labels", [str(number) for number in range(10_001)], "labels"),
        ("labels", ["l" * 501], "labels"),
        ("outputs", [{}] * 65, "outputs"),
        ("input.shape", [1] * 9, "shape"),
        ("input.affine.zero_point", 1 << 70, "zero_point"),
        ("golden.0.detections", [{}] * 4097, "detections"),
        ("metrics", {str(number): 1.0 for number in range(257)}, "metrics"),
        ("metrics", {"map50": "0.5"}, "metrics"),
        ("provenance", {"file": "p" * 4097}, "provenance"),
        ("release", 0, "release"),
        ("release", -1, "release"),
        ("release", (1 << 53) + 1, "release"),
        ("release", 1.5, "release"),
        ("requires", {"runtimes": {"onnxruntime": "newest"}}, "requires"),
        ("requires", {"memory": 1}, "requires"),
        ("model", "golden/0.png", "must end in .tflite"),
        ("model", "other.tflite", "other.tflite"),
        ("golden.0.picture", "golden/9.png", "golden/9.png"),
        ("golden.0.detections.0.class_id", 1, "no label"),
        ("golden.0.detections.0.score", 2.0, "score"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tmp_path: Path, path: str, value: Any, said: str
) -> None:
    content = msgspec.to_builtins(make_bundle(tmp_path))
    change(content, path, value)
    with pytest.raises(errors.BundleCorrupt, match=said):
        manifest.decode(as_json(content))


def as_json(content: Any) -> bytes:
    """In the one form that passes."""
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


@given(st.binary(max_size=300))
def test_rubbish_is_no_manifest(rubbish: bytes) -> None:
    with pytest.raises(errors.BundleCorrupt):
        manifest.decode(rubbish)


def test_the_encoding_is_stable(tmp_path: Path) -> None:
    made = make_bundle(tmp_path)
    assert manifest.encode(manifest.decode(manifest.encode(made))) == manifest.encode(made)


def test_a_manifest_from_before_there_were_releases_keeps_its_digest(tmp_path: Path) -> None:
    content = manifest.encode(make_bundle(tmp_path))
    assert b"release" not in content
    assert b"requires" not in content
    assert manifest.decode(content).released == 0
    assert manifest.encode(manifest.decode(content)) == content


GOOD = b'"name": "people",'

OTHER_FORMS = {
    "key twice": (GOOD, GOOD + b'\n "name": "people",'),
    "key twice, other value": (GOOD, b'"name": "cats",\n ' + GOOD),
    "nested key twice": (b'"zero_point": 0', b'"zero_point": 1,\n   "zero_point": 0'),
    "unknown key": (GOOD, GOOD + b'\n "other": "people",'),
    "escaped": (GOOD, b'"name": "\\u0070eople",'),
    "escaped key": (GOOD, b'"n\\u0061me": "people",'),
    "spaces": (GOOD, b'"name":  "people",'),
    "tab": (GOOD, b'"name":\t"people",'),
    "carriage return": (b"\n", b"\r\n"),
    "byte order mark": (b'{\n "name', b'\xef\xbb\xbf{\n "name'),
    "number longer": (b'"score": 0.9', b'"score": 0.90'),
    "number as power": (b'"score": 0.9', b'"score": 9e-1'),
    "minus zero": (b'"scores": 0', b'"scores": -0'),
    "huge exponent": (b'"mean": 127.0', b'"mean": 1e999'),
    "not a number": (b'"mean": 127.0', b'"mean": NaN'),
    "surrogate": (GOOD, b'"name": "\\ud800",'),
    "broken UTF-8": (GOOD, b'"name": "peopl\xff",'),
    "overlong UTF-8": (GOOD, b'"name": "peopl\xc1\xa5",'),
    "more after it": (b'"format": 1\n}\n', b'"format": 1\n}\n{}'),
    "newline missing": (b'"format": 1\n}\n', b'"format": 1\n}'),
    "null in place of unset": (b'"format": 1', b'"format": 1,\n "release": null'),
    "deep nesting": (b'"metrics": {}', b'"metrics": ' + b'{"a":' * 100_000),
    "deep lists": (b'"labels": [', b'"labels": [' + b"[" * 100_000),
    "huge number": (b'"format": 1', b'"format": ' + b"1" * 100_000),
    "huge text": (GOOD, b'"name": "' + b"n" * 500_000 + b'",'),
    "larger than any": (b'"format": 1', b'"format": 1' + b" " * (1 << 20)),
}


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_a_manifest_in_any_other_form_is_refused(tmp_path: Path, form: str) -> None:
    content = manifest.encode(make_bundle(tmp_path))
    old, new = OTHER_FORMS[form]
    assert old in content
    with pytest.raises(errors.BundleCorrupt):
        manifest.decode(content.replace(old, new, 1))


def test_a_whole_number_may_stand_for_a_float(tmp_path: Path) -> None:
    """Figures such as a mean average precision of exactly 1 come so from the laptop."""
    made = msgspec.structs.replace(make_bundle(tmp_path), metrics={"map50": 1})
    content = manifest.encode(made)
    assert b'"map50": 1\n' in content
    assert manifest.decode(content).metrics == {"map50": 1.0}


def link_elsewhere(folder: Path) -> None:
    """The right content, but it lies anywhere."""
    (folder / "model.tflite").rename(folder.parent / "elsewhere")
    (folder / "model.tflite").symlink_to(folder.parent / "elsewhere")


def link_of_folder(folder: Path) -> None:
    (folder / "golden").rename(folder.parent / "pictures")
    (folder / "golden").symlink_to(folder.parent / "pictures")


def link_of_manifest(folder: Path) -> None:
    (folder / "manifest.json").rename(folder.parent / "elsewhere.json")
    (folder / "manifest.json").symlink_to(folder.parent / "elsewhere.json")


def endless(folder: Path) -> None:
    (folder / "model.tflite").unlink()
    (folder / "model.tflite").symlink_to("/dev/zero")


def pipe(folder: Path) -> None:
    (folder / "model.tflite").unlink()
    os.mkfifo(folder / "model.tflite")


def swapped(folder: Path) -> None:
    model, picture = folder / "model.tflite", folder / "golden/0.png"
    first, second = model.read_bytes(), picture.read_bytes()
    model.write_bytes(second)
    picture.write_bytes(first)


def full_of_holes(folder: Path) -> None:
    """A terabyte that takes no room; all of it would be read for hours."""
    with (folder / "model.tflite").open("r+b") as stream:
        stream.truncate(1 << 40)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
@pytest.mark.parametrize(
    "trick",
    [link_elsewhere, link_of_folder, link_of_manifest, endless, pipe, swapped, full_of_holes],
)
def test_a_bundle_is_plain_files_of_the_right_size(
    tmp_path: Path, trick: Callable[[Path], None]
) -> None:
    make_bundle(tmp_path / "bundle")
    bundle.open_bundle(tmp_path / "bundle")
    trick(tmp_path / "bundle")
    with pytest.raises(errors.BundleCorrupt):
        bundle.open_bundle(tmp_path / "bundle")


def test_every_bit_of_every_file_counts(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    expected = bundle.open_bundle(tmp_path).digest
    points = 0
    for name in ("manifest.json", "model.tflite", "golden/0.png"):
        path = tmp_path / name
        content = path.read_bytes()
        for place in range(8 * len(content)):
            flipped = bytearray(content)
            flipped[place // 8] ^= 1 << place % 8
            path.write_bytes(flipped)
            with pytest.raises(errors.BundleCorrupt):
                bundle.open_bundle(tmp_path, expected_digest=expected)
            points += 1
        path.write_bytes(content)
    assert points > 10_000
    assert bundle.open_bundle(tmp_path, expected_digest=expected).digest == expected


def test_nothing_is_parsed_before_the_signature_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(tmp_path)
    seen: list[str] = []
    decode = manifest.decode
    monkeypatch.setattr(
        manifest, "decode", lambda content: (seen.append("parsed"), decode(content))[1]
    )
    bundle.open_bundle(tmp_path, check=lambda content, record: seen.append("checked"))
    assert seen == ["checked", "parsed"]

    def refuse(content: bytes, record: bytes) -> None:
        raise errors.BundleUntrusted("no")

    seen.clear()
    with pytest.raises(errors.BundleUntrusted):
        bundle.open_bundle(tmp_path, check=refuse)
    with pytest.raises(errors.BundleCorrupt):
        bundle.open_bundle(tmp_path, expected_digest="0" * 64)
    assert seen == []


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """What happens to bytes: changed, cut, doubled, moved or put in."""
    places = st.integers(0, 2**16)
    kind = draw(st.sampled_from(["byte", "cut", "double", "swap", "insert", "end"]))
    first, second = draw(places), draw(places)
    piece = draw(st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(PIECES)))

    def mutate(content: bytes) -> bytes:
        a, b = sorted((first % len(content), second % len(content)))
        if kind == "byte":
            return content[:a] + piece[:1] + content[a + 1 :]
        if kind == "cut":
            return content[:a] + content[b + 1 :]
        if kind == "double":
            return content[: b + 1] + content[a:]
        if kind == "swap":
            middle = (a + b) // 2
            return content[:a] + content[middle:b] + content[a:middle] + content[b:]
        if kind == "insert":
            return content[:a] + piece + content[a:]
        return content[:a]

    return mutate


PIECES = [b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"0", b"-", b"1e9", b"null", b" ", b"\n"]


@given(st.lists(mutations(), min_size=1, max_size=4))
@settings(max_examples=500)
def test_a_changed_manifest_is_another_bundle_or_none(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Callable[[bytes], bytes]]
) -> None:
    content = good(tmp_path_factory)
    changed = content
    for change_once in changes:
        changed = change_once(changed) or b" "
    assume(changed != content)
    # Without a signature: no crash, and what passes is in its one form, with another digest.
    try:
        parsed = manifest.decode(changed)
    except errors.BundleCorrupt:
        pass
    else:
        assert as_json(msgspec.json.decode(changed)) == changed
        assert manifest.decode(manifest.encode(parsed)) == parsed
        assert manifest.digest(changed) != manifest.digest(content)
    # With one: none is accepted.
    with pytest.raises(errors.BundleUntrusted):
        signature.verify(changed, signed(content, 1), signature.MANIFEST_PURPOSE, trusted(1))


_GOOD: list[bytes] = []


def good(folders: pytest.TempPathFactory) -> bytes:
    if not _GOOD:
        _GOOD.append(manifest.encode(make_bundle(folders.mktemp("good"))))
    return _GOOD[0]
