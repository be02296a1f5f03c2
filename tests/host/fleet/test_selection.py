from __future__ import annotations

import pytest

from tartlet_host.fleet.selection import groups_of, select, tags_of
from tartlet_host.remote.inventory import Device
from tartlet_shared import errors

DEVICES = {
    name: Device(name=name, address=name, host_key="", groups=groups, tags=tags)
    for name, groups, tags in (
        ("a", ("garden",), ("zero2",)),
        ("b", ("garden", "shed"), ()),
        ("c", ("shed",), ("zero2", "new")),
        ("d", (), ()),
    )
}


@pytest.mark.parametrize(
    ("names", "groups", "tags", "everything", "found"),
    [
        ("dc", (), (), False, "dc"),
        ("", ("garden",), (), False, "ab"),
        ("", ("shed", "garden"), (), False, "bc ab"),
        ("d", ("garden",), (), False, "d ab"),
        ("", ("shed", "garden"), ("zero2",), False, "c a"),
        ("", (), ("zero2",), False, "ac"),
        ("", (), ("zero2", "new"), False, "c"),
        ("", (), (), True, "abcd"),
        ("", ("shed",), ("new",), True, "c c"),
    ],
)
def test_devices_are_chosen(
    names: str, groups: tuple[str, ...], tags: tuple[str, ...], everything: bool, found: str
) -> None:
    chosen = select(DEVICES, names=names, groups=groups, tags=tags, everything=everything)
    assert chosen == [tuple(part) for part in found.split()]


@pytest.mark.parametrize(
    ("names", "groups", "tags", "says"),
    [
        ("x", (), (), "known: a, b, c, d"),
        ("", ("gardn",), (), "garden, shed"),
        ("", (), ("zero",), "new, zero2"),
        ("d", (), ("zero2",), "zero2"),
        ("", (), (), "no device is meant"),
    ],
)
def test_a_word_that_means_nothing_names_those_that_do(
    names: str, groups: tuple[str, ...], tags: tuple[str, ...], says: str
) -> None:
    with pytest.raises(errors.DeviceUnknown, match=says):
        select(DEVICES, names=names, groups=groups, tags=tags)


def test_what_there_is() -> None:
    assert groups_of(DEVICES) == ["garden", "shed"]
    assert tags_of(DEVICES) == ["new", "zero2"]
