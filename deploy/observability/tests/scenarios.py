"""What must happen for an alert to fire; and the file of tests that promtool runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deploy.observability.tests.courses import Course, Phases

CHOSEN_BY: Final = ("severity", "window")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Series by their selector, and the labels that the alert then has besides its name."""

    alert: str
    labels: Mapping[str, str]
    series: Mapping[str, Course]
    beside: Sequence[Mapping[str, str]] = ()
    """The labels of those that fire beside it, of the same name."""
    phases: Phases = field(default_factory=Phases)

    @property
    def name(self) -> str:
        """Return what a failure is told under."""
        return f"{self.alert} {self.labels}"

    def as_promtool(self) -> dict[str, Any]:
        """Return the test as promtool reads it: silent before, firing at the trouble's end, silent at the end."""
        firing = {"alertname": self.alert, "alertstate": "firing"}
        chosen = firing | {key: value for key, value in self.labels.items() if key in CHOSEN_BY}
        samples = [
            {"labels": _selector("ALERTS", firing | dict(labels)), "value": 1} for labels in (self.labels, *self.beside)
        ]
        whens: tuple[tuple[int, list[Any]], ...] = (
            (self.phases.before_s, []),
            (self.phases.within_s, samples),
            (self.phases.end_s, []),
        )
        return {
            "name": self.name,
            "interval": f"{self.phases.step_s}s",
            "input_series": [
                {"series": selector, "values": course.values(self.phases)} for selector, course in self.series.items()
            ],
            "promql_expr_test": [
                {"expr": _selector("ALERTS", chosen), "eval_time": f"{when_s}s", "exp_samples": expected}
                for when_s, expected in whens
            ],
        }


def of(severity: str, **labels: str) -> dict[str, str]:
    """Return the labels of an alert of *severity*."""
    return {"severity": severity, **labels}


def a_file(rules: Sequence[Path], tests: Sequence[dict[str, Any]], *, step_s: int) -> dict[str, Any]:
    """Return a file of *tests* on *rules*, which are evaluated every *step_s* seconds."""
    return {
        "rule_files": [str(file) for file in rules],
        "evaluation_interval": f"{step_s}s",
        "tests": list(tests),
    }


def _selector(name: str, labels: Mapping[str, str]) -> str:
    matchers = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{matchers}}}"
