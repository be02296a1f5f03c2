from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.events.room import ORDER, Limit, Unit, removals

UNITS = st.lists(
    st.builds(
        Unit,
        kind=st.sampled_from(ORDER),
        name=st.integers(0, 10**6).map("{:010d}".format),
        size=st.integers(1, 100),
        time_s=st.floats(0, 1000),
    ),
    max_size=40,
    unique_by=lambda unit: (unit.kind, unit.name),
)
LIMITS = st.fixed_dictionaries(
    {kind: st.builds(Limit, st.integers(1, 500), st.floats(1, 1000)) for kind in ORDER}
)


@given(
    units=UNITS, limits=LIMITS, now_s=st.none() | st.floats(0, 2000), missing=st.integers(-50, 900)
)
def test_what_stays_is_within_all_limits_and_nothing_goes_in_vain(units, limits, now_s, missing):
    gone = removals(units, limits, now_s=now_s, missing_bytes=missing)
    stays = [unit for unit in units if unit not in gone]
    assert len(gone) == len(set(gone)) == len(units) - len(stays)
    freed = sum(unit.size for unit in gone)
    for kind in ORDER:
        kept = [unit for unit in stays if unit.kind == kind]
        assert sum(unit.size for unit in kept) <= limits[kind].size
        if now_s is not None:
            assert all(unit.time_s >= now_s - limits[kind].age_s for unit in kept)
    assert freed >= missing or not stays
    # The last one that went for the disk's sake was needed.
    if gone and missing > 0 and not any(_over(unit, units, limits, now_s) for unit in gone):
        assert freed - gone[-1].size < missing


@given(units=UNITS, limits=LIMITS, missing=st.integers(-50, 900))
def test_in_each_kind_the_oldest_go_and_what_matters_less_goes_first(units, limits, missing):
    gone = removals(units, limits, now_s=None, missing_bytes=missing)
    stays = [unit for unit in units if unit not in gone]
    for kind in ORDER:
        names = [unit.name for unit in gone if unit.kind == kind]
        assert all(unit.name > max(names) for unit in stays if unit.kind == kind and names)
    for_the_disk = [unit for unit in gone if not _over(unit, units, limits, None)]
    for unit in for_the_disk:
        less = ORDER[: ORDER.index(unit.kind)]
        assert not [other for other in stays if other.kind in less]


@given(units=UNITS, limits=LIMITS)
def test_without_need_nothing_goes(units, limits):
    ample = {kind: Limit(10**9, limits[kind].age_s) for kind in ORDER}
    assert removals(units, ample, now_s=None, missing_bytes=0) == []


def _over(unit, units, limits, now_s) -> bool:
    """Whether it goes for its kind's limits alone."""
    alone = removals(units, limits, now_s=now_s, missing_bytes=-(10**9))
    return unit in alone
