"""How long each phase of a run takes."""

import time


class PhaseTimes:
    """How many seconds each phase of a run took, in their order."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self._began_s = self._last_s = time.monotonic()

    def end(self, phase: str) -> None:
        """End *phase*, which began where the last one ended."""
        now_s = time.monotonic()
        self.phases[phase] = round(now_s - self._last_s, 1)
        self._last_s = now_s

    @property
    def total_s(self) -> float:
        """All phases that have ended."""
        return self._last_s - self._began_s
