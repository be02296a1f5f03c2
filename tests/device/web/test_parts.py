"""What needs no server: the guard, multipart bodies, byte ranges."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.web import byte_range, guard, multipart, routes
from tartlet_device.web.exchange import Refused
from tartlet_device.web.multipart import Part
from tartlet_device.web.settings import WebSettings
from tartlet_shared import errors

PAGE = {
    "host": "127.0.0.1:8080",
    "origin": "http://127.0.0.1:8080",
    "sec-fetch-site": "same-origin",
}
GOOD = [
    ("GET", "/", {"host": "localhost"}),
    ("GET", "/status", {"host": "LOCALHOST:80"}),
    ("POST", "/predict", {"host": "[::1]:8080"}),
    ("POST", "/predict", PAGE),
    ("PUT", "/zones", PAGE),
    ("GET", "/", {"host": "127.0.0.1", "sec-fetch-site": "none", "sec-fetch-mode": "navigate"}),
    # A link on another site leads here; the page itself gives nothing away.
    (
        "GET",
        "/",
        {"host": "127.0.0.1", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ),
]
BAD = [
    ("GET", "/status", {}, 421),
    ("GET", "/status", {"host": ""}, 421),
    ("GET", "/status", {"host": "evil.example"}, 421),
    ("GET", "/status", {"host": "127.0.0.1.evil.example"}, 421),
    ("GET", "/status", {"host": "localhost:80@evil.example"}, 421),
    ("GET", "/status", {"host": "192.168.1.5"}, 421),
    ("POST", "/predict", {"host": "localhost", "origin": "http://evil.example"}, 403),
    ("POST", "/predict", {"host": "localhost", "origin": "null"}, 403),
    ("POST", "/predict", {"host": "localhost:1", "origin": "http://localhost:2"}, 403),
    ("POST", "/predict", {"host": "localhost", "origin": "https://localhost"}, 403),
    ("GET", "/snapshot.jpg", {"host": "localhost", "sec-fetch-site": "cross-site"}, 403),
    ("GET", "/snapshot.jpg", {"host": "localhost", "sec-fetch-site": "same-site"}, 403),
    (
        "GET",
        "/snapshot.jpg",
        {"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        403,
    ),
    (
        "GET",
        "/",
        {"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
        403,
    ),
]


@pytest.mark.parametrize(("method", "path", "headers"), GOOD)
def test_the_page_and_programs_may_ask(method: str, path: str, headers: dict[str, str]) -> None:
    guard.check(method, path, headers)


@pytest.mark.parametrize(("method", "path", "headers", "status"), BAD)
def test_other_sites_may_not(method: str, path: str, headers: dict[str, str], status: int) -> None:
    with pytest.raises(Refused) as caught:
        guard.check(method, path, headers)
    assert caught.value.status == status


NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=10)
PARTS = st.lists(
    st.builds(
        Part,
        name=NAMES,
        file_name=st.none() | NAMES,
        content_type=st.sampled_from(["image/jpeg", "text/plain", "application/json"]),
        content=st.binary(max_size=200),
    ),
    min_size=1,
    max_size=multipart.MOST_PARTS,
)


@given(PARTS)
def test_what_is_written_is_read(parts: list[Part]) -> None:
    boundary = "0123456789abcdef0123456789abcdef"
    body = multipart.write(parts, boundary)
    assert multipart.parse(body, f"multipart/form-data; boundary={boundary}") == tuple(parts)
    assert multipart.parse(b"preface\r\n" + body, f'multipart/form-data; boundary="{boundary}"')


@given(st.binary(max_size=300), st.text(max_size=60))
def test_anything_else_is_malformed(body: bytes, header: str) -> None:
    with pytest.raises(errors.MessageMalformed):
        multipart.parse(body + b"--b", header)
    with pytest.raises(errors.MessageMalformed):
        multipart.parse(b"--b\r\n" + body, "multipart/form-data; boundary=b")


@pytest.mark.parametrize(
    ("disposition", "name", "file_name"),
    [
        ('form-data; name="image"; filename="a b.jpg"', "image", "a b.jpg"),
        ("form-data; filename=a.jpg; name=image", "image", "a.jpg"),
        ("FORM-DATA; Name=image; FileName*=utf-8''%c3%a9.jpg", "image", "utf-8''%c3%a9.jpg"),
        ('form-data; name="image"; filename=""', "image", ""),
        ('form-data; filename="name=odd"', "", "name=odd"),
        ("", "", None),
    ],
)
def test_who_a_part_is(disposition: str, name: str, file_name: str | None) -> None:
    body = f"--b\r\nX: 1\r\nContent-disposition: {disposition}\r\n\r\n1\r\n--b--".encode()
    (part,) = multipart.parse(body, "multipart/form-data; charset=x; BOUNDARY=b")
    assert (part.name, part.file_name, part.content) == (name, file_name, b"1")


def test_a_body_may_not_have_parts_without_end() -> None:
    part = Part("a", None, "text/plain", b"1")
    body = multipart.write([part] * (multipart.MOST_PARTS + 1), "b")
    with pytest.raises(errors.MessageMalformed, match="more than 16"):
        multipart.parse(body, "multipart/form-data; boundary=b")


RANGES = [
    (None, None),
    ("bytes=0-", (0, 100)),
    ("bytes=0-0", (0, 1)),
    ("bytes=10-19", (10, 10)),
    ("bytes=90-200", (90, 10)),
    ("bytes=-1", (99, 1)),
    ("bytes=-500", (0, 100)),
    ("bytes=-", None),
    ("bytes=20-10", None),
    ("bytes=0-1,5-6", None),  # several: the whole
    ("items=0-1", None),
    ("bytes=a-b", None),
]


@pytest.mark.parametrize(("header", "expected"), RANGES)
def test_ranges(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range.of(header, 100) == expected


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=0-", 0), ("bytes=-0", 5), ("bytes=-3", 0)]
)
def test_ranges_behind_the_end(header: str, size: int) -> None:
    with pytest.raises(byte_range.Unsatisfiable):
        byte_range.of(header, size)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40))
def test_a_range_is_a_slice(start: int, last: int, size: int) -> None:
    content = bytes(range(size))
    try:
        found = byte_range.of(f"bytes={start}-{last}", size)
    except byte_range.Unsatisfiable:
        assert content[start : last + 1] == b""
        return
    if found is None:
        assert last < start
    else:
        assert content[found[0] : found[0] + found[1]] == content[start : last + 1] != b""


def test_every_key_and_every_request_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "web.md").read_text()
    for name in WebSettings.__struct_fields__:
        assert f"| `{name}` |" in page
    source = Path(routes.__file__).read_text()
    for method, path in re.findall(r'_route\("([A-Z]+)", r?"(/[a-z]+)', source):
        assert f"`{method} {path}" in page
