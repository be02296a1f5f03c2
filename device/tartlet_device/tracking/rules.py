"""Rules: "a person in zone door, three frames running" is an event that begins and ends."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from tartlet_device.tracking.settings import Rule
from tartlet_shared.observation import EventBegan, EventEnded, Observation, Track


class Ongoing(msgspec.Struct, frozen=True, kw_only=True):
    """An event that has not ended.

    Attributes:
        event_id, rule, label: which.
        seen_ns: when an object that fulfils the rule was last seen.
        best_score, best_xyxy, best_frame: the best track so far, and in which frame that was: keep
            the picture of an observation whose frame number this is.
    """

    event_id: str
    rule: str
    label: str
    seen_ns: int
    best_score: float
    best_xyxy: tuple[float, float, float, float]
    best_frame: int


@dataclass(frozen=True)
class _Key:
    """What an event is about: one class, or one track, that a rule names."""

    rule: str
    label: str
    track_id: int | None


@dataclass(frozen=True)
class _State:
    """What is known of it.

    Attributes:
        running: observations running that fulfilled the rule.
        event: the event, while there is one.
        quiet_until_ns: no event begins before.
    """

    running: int = 0
    event: Ongoing | None = None
    quiet_until_ns: int | None = None


class Rules:
    """Applies rules to observations, one after the other."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._states: dict[_Key, _State] = {}
        self._number = 0

    def update(self, observation: Observation) -> tuple[EventBegan | EventEnded, ...]:
        """Take in an observation whose tracks have their zones.

        Returns:
            What ended and what began, in this order.
        """
        fulfilling: dict[_Key, list[Track]] = {}
        for rule in self._rules.values():
            for track in observation.tracks:
                if _fulfils(track, rule):
                    track_id = track.track_id if rule.per == "track" else None
                    fulfilling.setdefault(_Key(rule.name, track.label, track_id), []).append(track)

        ended: list[EventBegan | EventEnded] = []
        began: list[EventBegan | EventEnded] = []
        for key in [*self._states, *(key for key in fulfilling if key not in self._states)]:
            state, event = self._next(key, fulfilling.get(key, ()), observation)
            if event is not None:
                (began if isinstance(event, EventBegan) else ended).append(event)
            if state == _State():
                self._states.pop(key, None)
            else:
                self._states[key] = state
        return (*ended, *began)

    def ongoing(self) -> tuple[Ongoing, ...]:
        """The events that have begun and not ended, oldest first."""
        events = (state.event for state in self._states.values() if state.event)
        return tuple(sorted(events, key=lambda event: event.event_id))

    def finish(
        self, *, time_s: float, clock_synchronized: bool, monotonic_ns: int
    ) -> tuple[EventEnded, ...]:
        """End all events, as when the daemon stops or other rules come; forget everything."""
        ended = tuple(
            _ended(event, time_s, clock_synchronized, monotonic_ns) for event in self.ongoing()
        )
        self._states.clear()
        return ended

    def _next(
        self, key: _Key, tracks: Sequence[Track], observation: Observation
    ) -> tuple[_State, EventBegan | EventEnded | None]:
        """The state after an observation with these tracks, and what it began or ended."""
        state, rule = self._states.get(key, _State()), self._rules[key.rule]
        now_ns = observation.frame.monotonic_ns
        best = max(tracks, key=lambda track: track.score, default=None)
        if state.event is not None:
            event = state.event
            if best is not None:
                return replace(state, event=_with(event, best, observation)), None
            if now_ns - event.seen_ns < rule.end_after_s * 1e9:
                return state, None
            quiet_until_ns = now_ns + int(rule.cooldown_s * 1e9)
            return _State(quiet_until_ns=quiet_until_ns), _ended(
                event, observation.time_s, observation.clock_synchronized, now_ns
            )
        quiet = state.quiet_until_ns is not None and now_ns < state.quiet_until_ns
        state = _State(
            running=state.running + 1 if best is not None else 0,
            quiet_until_ns=state.quiet_until_ns if quiet else None,
        )
        if best is None or quiet or state.running < rule.frames:
            return state, None
        began = EventBegan(
            event_id=self._event_id(observation.time_s),
            rule=rule.name,
            label=key.label,
            zone=rule.zone,
            track_id=best.track_id,
            time_s=observation.time_s,
            clock_synchronized=observation.clock_synchronized,
            monotonic_ns=now_ns,
        )
        event = Ongoing(
            event_id=began.event_id,
            rule=rule.name,
            label=key.label,
            seen_ns=now_ns,
            best_score=best.score,
            best_xyxy=best.xyxy,
            best_frame=observation.frame.number,
        )
        return replace(state, event=event), began

    def _event_id(self, time_s: float) -> str:
        """Sorts by time; the random part keeps boots with a wrong clock apart."""
        self._number += 1
        milliseconds = max(int(time_s * 1000), 0)
        return f"{milliseconds:013d}-{self._number & 0xFFFF:04x}-{secrets.token_hex(4)}"


def _fulfils(track: Track, rule: Rule) -> bool:
    return (
        (not rule.classes or track.label in rule.classes)
        and (rule.zone is None or rule.zone in track.zones)
        and track.score >= rule.score
    )


def _with(event: Ongoing, best: Track, observation: Observation) -> Ongoing:
    """The event after it was seen once more."""
    event = msgspec.structs.replace(event, seen_ns=observation.frame.monotonic_ns)
    if best.score <= event.best_score:
        return event
    return msgspec.structs.replace(
        event,
        best_score=best.score,
        best_xyxy=best.xyxy,
        best_frame=observation.frame.number,
    )


def _ended(
    event: Ongoing, time_s: float, clock_synchronized: bool, monotonic_ns: int
) -> EventEnded:
    return EventEnded(
        event_id=event.event_id,
        time_s=time_s,
        clock_synchronized=clock_synchronized,
        monotonic_ns=monotonic_ns,
        best_score=event.best_score,
        best_xyxy=event.best_xyxy,
        best_frame=event.best_frame,
    )
