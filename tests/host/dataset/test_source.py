"""Folders and archives are read alike; archives are neither unpacked nor followed outside."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.dataset.archive import index_archive
from tartlet_host.dataset.source import ArchiveSource, FolderSource, open_source
from tartlet_shared import errors

FILES = {"a.txt": b"one", "b/c.txt": b"", "b/d/e.bin": bytes(range(256)) * 9, "z z/ä.txt": b"two"}
HIDDEN = {".DS_Store": b"x", "__MACOSX/a.txt": b"x", "b/.git/config": b"x"}


def folder(root: Path) -> Path:
    for name, content in (FILES | HIDDEN).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def archive(path: Path, format_: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format_) as tar:
        for name, content in (FILES | HIDDEN).items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda path: folder(path / "set"),
        lambda path: archive(path / "set.tar"),
        lambda path: archive(path / "set.tar", tarfile.GNU_FORMAT),
    ],
)
def test_both_give_the_same_names_and_contents(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    source = open_source(make(tmp_path))
    assert list(source.files()) == list(FILES)
    assert {name: source.read(name) for name in source.files()} == FILES
    assert list(source.files("b")) == ["b/c.txt", "b/d/e.bin"]
    assert source.exists("b/../a.txt")
    assert not source.exists("b")
    assert not source.exists("gone.txt")
    with pytest.raises(FileNotFoundError):
        source.read("gone.txt")


def test_names_come_before_the_whole_tree_was_seen(tmp_path: Path) -> None:
    """The second folder appears after the first name was given."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.txt").write_text("")
    (tmp_path / "b").mkdir()
    names = FolderSource(tmp_path).files()
    assert next(names) == "a/1.txt"
    (tmp_path / "b" / "2.txt").write_text("")
    assert list(names) == ["b/2.txt"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.txt").write_text("")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "there").symlink_to(tmp_path / "other")
    assert list(FolderSource(tmp_path / "set").files()) == ["a.txt", "there/b.txt"]


def damaged(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(archive(path).read_bytes()))
    return path


def zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("a.txt", content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("change", "said", "hint"),
    [
        (gzip.compress, "compressed .gzip", "gunzip set.tar"),
        (zipped, "compressed .zip", "unzip set.tar"),
        (lambda content: content[:3000], "cut off|unexpected end", "pack it again"),
        (lambda _: b"", "not a .tar archive", "pack it again"),
        (lambda _: b"hello" * 400, "not a .tar archive", "pack it again"),
    ],
)
def test_what_is_no_plain_tar(
    tmp_path: Path, change: Callable[[bytes], bytes], said: str, hint: str
) -> None:
    with pytest.raises(errors.DatasetError, match=said) as caught:
        open_source(damaged(tmp_path / "set.tar", change))
    assert hint in caught.value.hint


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(errors.DatasetNotFound, match="No such file"):
        open_source(tmp_path / "gone.tar")


def test_members_that_lead_elsewhere_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("../up.txt", "b/../../up.txt", "/etc/top.txt", "ok.txt", "ok.txt"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"1" if tar.members else b"0"))  # type: ignore[attr-defined]
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert list(index_archive(path)) == ["etc/top.txt", "ok.txt"]
    assert open_source(path).read("ok.txt") == b"1"


@given(st.dictionaries(st.from_regex(r"[a-z]{1,9}(/[a-z]{1,120}){0,2}", fullmatch=True),
                       st.binary(max_size=1500), max_size=8))  # fmt: skip
def test_every_member_is_found_where_it_lies(files: dict[str, bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "set.tar"
        with tarfile.open(path, "w") as tar:
            for member, content in files.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        source = ArchiveSource(path, index_archive(path))
        assert {name: source.read(name) for name in source.files()} == files


def test_a_large_archive_is_indexed_in_little_memory(tmp_path: Path) -> None:
    """tarfile alone keeps about 2 kB a member."""
    path = tmp_path / "set.tar"
    with path.open("wb") as stream:
        for number in range(4000):
            stream.write(tarfile.TarInfo(f"pictures/{number:06d}.jpg").tobuf())
        stream.write(bytes(1024))
    tracemalloc.start()
    found = index_archive(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 4000
    assert peak / len(found) < 700
