from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from tartlet_host.remote import resume
from tartlet_shared.push_messages import Arrived

CONTENT = bytes(range(256)) * 4000
SHA = hashlib.sha256(CONTENT).hexdigest()


def arrived(content: bytes, name: str = f"{SHA}.me.part") -> Arrived:
    return Arrived(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("there", "start"),
    [
        ([], 0),
        ([arrived(CONTENT[:1])], 1),
        ([arrived(CONTENT[:700_000])], 700_000),
        ([arrived(CONTENT)], len(CONTENT)),
        ([arrived(bytes(1000))], 0),  # not its beginning
        ([arrived(CONTENT + b"x")], 0),  # longer than the file
        ([arrived(CONTENT[:1000], f"{SHA}.you.part")], 0),  # somebody else may be writing there
        ([arrived(CONTENT[:1000], f"{SHA}.you.part"), arrived(CONTENT[:10])], 10),
    ],
)
def test_a_file_goes_on_after_its_own_beginning_only(
    tmp_path: Path, there: list[Arrived], start: int
) -> None:
    source = tmp_path / "model"
    source.write_bytes(CONTENT)
    file = resume.outgoing(source, "/in", SHA, there, "me")
    assert (file.start, file.destination) == (start, f"/in/{SHA}")
    assert file.partial == f"/in/{SHA}.me.part"


def test_a_laptop_keeps_its_name_and_another_has_another(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for host in ("a b/c", "a b/c", "ü" * 300, ""):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        names.append(resume.laptop())
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9-]{9,40}", name) for name in names)
