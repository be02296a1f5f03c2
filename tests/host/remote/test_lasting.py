"""A session that is lost and found again."""

from __future__ import annotations

import pytest

from tartlet_host.remote.lasting import BACK_OFF_S
from tartlet_shared import errors
from tests.host.away import World


def test_one_connection_serves_as_long_as_it_lasts() -> None:
    world = World()
    with world.session() as lasting:
        assert lasting.name == "garden"
        for _ in range(5):
            lasting.call(world.work, lambda: 1.0)
    assert (world.opened, world.closed, world.waits, world.said) == (1, 1, [], [])


def test_a_lost_one_is_opened_again_after_growing_waits() -> None:
    world = World((10.0, 40.0))
    with world.session() as lasting:
        world.now = 10.0
        assert lasting.call(world.work, lambda: 100.0) >= 40.0
        lasting.call(world.work, lambda: 100.0)
    assert (world.opened, world.closed) == (2, 2)
    assert world.waits == list(BACK_OFF_S)
    assert world.said == ["cut; trying again", "it works again"]


def test_it_gives_up_when_the_time_is_over() -> None:
    world = World((0.5, 1e9))
    with world.session() as lasting:
        world.now = 1.0
        with pytest.raises(errors.Unreachable):
            lasting.call(world.work, lambda: 60.0)
    assert world.now < 60.0


def test_work_that_gets_on_has_more_time() -> None:
    world = World()
    got: list[float] = []

    def work(session: object) -> int:
        if len(got) < 20:
            got.append(world.now)
            raise errors.ConnectionLost("cut")
        return len(got)

    with world.session() as lasting:
        assert lasting.call(work, lambda: 5.0 + (got[-1] if got else 0.0)) == 20
    assert set(world.waits) == {BACK_OFF_S[0]}


def test_the_first_connection_must_come_about() -> None:
    world = World((0.0, 1.0))
    with pytest.raises(errors.Unreachable), world.session():
        pass
    assert world.waits == []


@pytest.mark.parametrize("kind", [errors.HostKeyChanged, errors.NoActiveModel, KeyboardInterrupt])
def test_what_waiting_does_not_mend_is_raised(kind: type[BaseException]) -> None:
    world = World()

    def fail(session: object) -> None:
        raise kind("no")

    with world.session() as lasting, pytest.raises(kind):
        lasting.call(fail, lambda: 1e9)
    assert (world.waits, world.closed) == ([], 1)


def test_what_else_passes_is_said_by_the_caller() -> None:
    world = World()
    left = [errors.CameraTimeout("stuck"), errors.CameraBusy("held")]

    def work(session: object) -> str:
        if left:
            raise left.pop()
        return "done"

    with world.session(passing=(errors.DeviceError,)) as lasting:
        assert lasting.call(work, lambda: 1e9) == "done"
    assert len(world.waits) == 2
