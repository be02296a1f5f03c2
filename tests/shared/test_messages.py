"""Detections on the wire, failures as errors, and who may talk to whom."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_shared import errors, messages, picture_messages
from tartlet_shared.detections import Detections


@given(st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_detections_travel_unchanged(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    corner = random.uniform(-50, 800, (count, 2))
    sent = Detections(
        np.hstack([corner, corner + random.uniform(0, 300, (count, 2))]).astype(np.float32),
        random.uniform(0, 1, count).astype(np.float32),
        random.integers(0, 80, count),
    )
    assert picture_messages.unpack(picture_messages.pack(sent)) == sent


@given(st.binary(max_size=40), st.binary(max_size=12), st.binary(max_size=12))
def test_columns_that_do_not_fit_are_malformed(xyxy: bytes, score: bytes, class_id: bytes) -> None:
    columns = picture_messages.DetectionColumns(xyxy=xyxy, score=score, class_id=class_id)
    try:
        found = picture_messages.unpack(columns)
    except errors.MessageMalformed:
        return
    assert len(xyxy) == 16 * len(found)
    assert np.isfinite(found.xyxy).all()


@pytest.mark.parametrize("error", errors.all_errors(), ids=lambda error: error.code)
def test_an_error_crosses_the_wire_as_its_own_type(error: type[errors.TartletError]) -> None:
    sent = error("it broke", where="camera 0", hint="plug it in")
    received = messages.to_error(messages.failure(3, sent))
    assert type(received) is error
    assert (received.what, received.where, received.hint) == ("it broke", "camera 0", "plug it in")


def test_codes_and_exit_codes_are_all_different() -> None:
    tree = errors.all_errors()
    assert len({error.code for error in tree}) == len(tree)
    assert len({error.exit_code for error in tree}) == len(tree)
    assert all(0 < error.exit_code < 126 for error in tree)


def test_the_drawn_tree_is_the_tree() -> None:
    assert errors.__doc__ is not None
    for error in errors.all_errors():
        assert f"{error.__name__} " in errors.__doc__, error.__name__
        assert f" {error.code} " in errors.__doc__.replace("\n", " \n"), error.code


def test_a_code_from_the_future_is_still_an_error() -> None:
    error = errors.from_code("camera-on-fire", "smoke")
    assert type(error) is errors.TartletError
    assert "camera-on-fire" in str(error)


@pytest.mark.parametrize(("theirs", "side"), [(0, "other"), (2, "this")])
def test_another_protocol_version_is_refused(theirs: int, side: str) -> None:
    hello = messages.Hello(protocol=theirs, fingerprint="", software="9.9")
    with pytest.raises(errors.VersionMismatch) as caught:
        messages.check_hello(hello)
    assert f"protocol {theirs}" in caught.value.what
    assert f"on the {side} side" in caught.value.hint


def test_the_same_version_is_welcome() -> None:
    messages.check_hello(
        messages.Hello(protocol=messages.PROTOCOL_VERSION, fingerprint="x", software="1")
    )
