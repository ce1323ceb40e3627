"""The page of the drills: what was done, and what came of it."""

from collections.abc import Mapping
from typing import Any, Final

from tests.pages import run_by, table

_HEAD: Final = """\
# Drills

Written by a whole `make drill`; not to be changed by hand. Each drill inflicts on real processes what happens to those
who operate the platform, asserts that it bit, and fails where something promised does not come about."""
_ALERTS: Final = """\
## Alerts

Faults on a whole stack, with two instances of each API behind the gateway, and the alerts that came of them through a
real Prometheus and a real Alertmanager, whose rules have windows and waits a thirtieth as long as the repository's.
Seconds are from the fault to the alert's arrival, and from the mending to the notice that it is over."""
_GATEWAY: Final = """\
## Gateway

400 deposits a second come through the gateway for eleven seconds; a checker finds the money exact afterwards."""
_RELEASES: Final = """\
## Releases

Another commit of the same code is brought in beside the one that runs (`python -m release deploy`), and taken back
(`rollback`), while 400 deposits a second come through the gateway; each sum is looked for afterwards in the ledger and
in the history, and the ledger's own checker finds nothing. In `blue_green_killed` the command is killed with SIGKILL at
each of its steps, and goes on each time. In `release_refused` a migration waits for a lock, and a process ends at its
start: neither release comes in. In `previous` processes of the last release run on this one's schema, beside
this one's: they answer their share of the requests, publish and project."""
_MOVES: Final = ("blue_green", "rollback", "blue_green_killed")

_REBUILD: Final = """\
## Rebuild

Both read models of the history are rebuilt under load, each rebuild killed once on its way, and switched to."""


def page(told: Mapping[str, Any]) -> str:
    """Return the page of a whole run's figures."""
    drills = told["drills"]
    alerts = drills["alerts"]
    gateway = {name: drills[name] for name in ("gateway_kill", "gateway_reload")}
    parts = [
        _HEAD,
        run_by(told),
        _ALERTS,
        table(
            ("alert", "what was done", "fired s", "cleared s"),
            ((name, each["what"], str(each["fired_s"]), str(each["cleared_s"])) for name, each in alerts.items()),
        ),
        _GATEWAY,
        table(
            (
                "drill",
                "requests",
                "failed",
                "sent again",
                "lost while away",
                "switch s",
                "p99 ms",
                "calm p99 ms",
            ),
            (_gateway_row(name, each) for name, each in gateway.items()),
        ),
        _REBUILD,
        table(
            ("failed reads", "hashes equal", "money differs"),
            [tuple(str(drills["rebuild"][key]) for key in ("failed_reads", "hash_equal", "money_differs"))],
        ),
        _RELEASES,
        table(
            (
                "drill",
                "run",
                "requests",
                "failed",
                "money differs",
                "switch s",
                "p99 ms",
                "calm p99 ms",
                "whole s",
                "kills",
            ),
            [
                *(_move_row(name, run, each) for name in _MOVES for run, each in drills[name].items()),
                _move_row("release_refused", "", drills["release_refused"]),
                _move_row("previous", f"{drills['previous']['by_previous']} by it", drills["previous"]),
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _gateway_row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    keys = ("requests", "failed", "retried", "lost", "switch_s", "p99_ms", "calm_p99_ms")
    return (name, *(str(figures.get(key, "")) for key in keys))


def _move_row(name: str, run: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    keys = ("requests", "failed", "money_differs", "switch_s", "p99_ms", "calm_p99_ms", "move_s", "kills")
    return (name, run, *(str(figures.get(key, "")) for key in keys))
