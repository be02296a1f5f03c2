"""How long to wait for something whose usual time is not known beforehand."""

from __future__ import annotations


class Patience:
    """A limit that grows with what was seen: a slow machine is not taken for a broken one.

    Not for several threads at once.
    """

    def __init__(self, first_s: float, *, least_s: float, most_s: float, times: float) -> None:
        """
        Args:
            first_s: the limit before anything was seen.
            least_s, most_s: of the limit afterwards.
            times: the limit, as a multiple of the slowest lately.
        """
        self._first_s, self._least_s, self._most_s = first_s, least_s, most_s
        self._times = times
        self._slowest_s: float | None = None
        self._failures = 0

    @property
    def limit_s(self) -> float:
        """How long to wait now; each failure in a row doubles it."""
        usual = self._first_s
        if self._slowest_s is not None:
            usual = max(self._least_s, self._times * self._slowest_s)
        return float(min(usual * 2 ** min(self._failures, 16), max(self._most_s, self._first_s)))

    def took(self, seconds: float) -> None:
        """It went well."""
        self._failures = 0
        # The slowest is forgotten over some hundred times, so that one odd one does not stay.
        self._slowest_s = max(seconds, 0.99 * (self._slowest_s or 0.0))

    def ran_out(self) -> None:
        """It did not come within the limit."""
        self._failures += 1
