"""What must happen for each alert to fire, and what it is told with; it must clear when that is over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.observability.tests.courses import STEP_S, Course, Phases


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Series by their selector, and the labels that the alert then has besides its name."""

    alert: str
    labels: Mapping[str, str]
    series: Mapping[str, Course]
    phases: Phases = field(default_factory=Phases)
    value: str | None = None
    """Only for those whose annotations are compared as a whole."""

    def as_promtool(self, name: str) -> dict[str, Any]:
        """Return the test as promtool reads it: silent before, firing at the trouble's end, silent at the end."""
        firing = f'ALERTS{{alertname="{self.alert}",alertstate="firing",severity="{self.labels["severity"]}"}}'
        told = ",".join(f'{key}="{value}"' for key, value in sorted(self.labels.items()))
        sample = {"labels": f'ALERTS{{alertname="{self.alert}",alertstate="firing",{told}}}', "value": 1}
        whens = ((self.phases.before_s(), []), (self.phases.within_s(), [sample]), (self.phases.end_s(), []))
        return {
            "name": name,
            "interval": f"{STEP_S}s",
            "input_series": [
                {"series": selector, "values": course.values(self.phases)} for selector, course in self.series.items()
            ],
            "promql_expr_test": [
                {"expr": firing, "eval_time": f"{when_s}s", "exp_samples": samples} for when_s, samples in whens
            ],
        }
