"""What the demo says at its end: a table per question, and the same as JSON."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.attacks import AttackTally
from demo.figures import Durations, PlayFigures
from demo.findings import STATEMENTS, Findings
from demo.money import to_text
from demo.reconcile.run import Reconciled


def show(
    console: Console, findings: Findings, figures: PlayFigures, reconciled: Reconciled, tally: AttackTally
) -> None:
    """Print the invariants, then the figures, then the first breaches in words and what became of the attacks."""
    console.print(_invariants(findings))
    console.print(_figures(figures, reconciled))
    console.print(_counts("command", figures.commands), _counts("answer", figures.outcomes))
    for name, invariant in findings.invariants.items():
        for example in invariant.examples:
            console.print(f"{name} {example}", style="red", markup=False, highlight=False)
    for breach in tally.breaches:
        console.print(breach, style="red", markup=False, highlight=False, soft_wrap=True)
    console.print(tally.sentence if tally.holds else f"{tally.sentence}: not every one was refused as it must be.")
    console.print("Every invariant holds." if findings.hold else "An invariant is broken.")


def write(path: Path, findings: Findings, figures: PlayFigures, reconciled: Reconciled, tally: AttackTally) -> None:
    """Write everything as JSON."""
    document = {
        "holds": findings.hold and tally.holds,
        "attacks": {"sent": tally.sent, "refused": tally.refused, "breaches": tally.breaches},
        "invariants": {
            name: {"holds": each.holds, "checked": each.checked, "broken": each.broken, "examples": each.examples}
            for name, each in findings.invariants.items()
        },
        "figures": _numbers(figures, reconciled),
        "commands": dict(figures.commands),
        "answers": dict(figures.outcomes),
        "read_model": {table: {"rows": rows, "hash": digest} for table, (rows, digest) in reconciled.hashes.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def _invariants(findings: Findings) -> Table:
    table = Table("", "invariant", "", "checks", "breaches", box=None, header_style="bold")
    for name, invariant in findings.invariants.items():
        word = "[green]holds[/green]" if invariant.holds else "[red]broken[/red]"
        if invariant.checked == 0:
            word = "no occasion"
        table.add_row(name, STATEMENTS[name], word, f"{invariant.checked:,}", f"{invariant.broken:,}")
    return table


def _figures(figures: PlayFigures, reconciled: Reconciled) -> Table:
    table = Table(show_header=False, box=None)
    for name, value in _numbers(figures, reconciled).items():
        table.add_row(name.replace("_", " "), _shown(value))
    return table


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "none" if value is None else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def _in_all(money: Mapping[tuple[str, str], int], what: str) -> str | None:
    """Return how much of each currency something was done with."""
    found = [f"{to_text(minor, each)} {each}" for (done, each), minor in sorted(money.items()) if done == what]
    return ", ".join(found) or None


def _counts(title: str, counts: Counter[str]) -> Table:
    table = Table(title, "count", box=None, header_style="bold")
    for name, count in counts.most_common():
        table.add_row(name, f"{count:,}")
    return table


def _numbers(figures: PlayFigures, reconciled: Reconciled) -> dict[str, Any]:
    topic = reconciled.topic
    return {
        "operations": figures.operations,
        "seconds": round(figures.seconds, 3),
        "operations_per_s": round(figures.operations_per_s, 1),
        "speed_up": None if figures.speed_up is None else round(figures.speed_up),
        "requests": figures.requests,
        "request_ms_p50": _rounded(figures.latency, 50),
        "request_ms_p99": _rounded(figures.latency, 99),
        "sent_by_owners": figures.sent_by_owners,
        "repeats_under_a_key": figures.replays,
        "answers_503_repeated": figures.busy,
        "answers_429_repeated": figures.limited,
        "broken_connections": figures.broken_connections,
        "holds_placed": figures.holds.total(),
        **{f"holds_{status}": figures.holds[status] for status in ("captured", "voided", "expired", "open")},
        **{what: _in_all(figures.money, what) for what in ("fees_charged", "refunded", "converted")},
        "transactions": reconciled.transactions,
        "wallets": reconciled.wallets,
        "journal_rows": reconciled.journal_rows,
        "kafka_records": topic.records,
        "kafka_duplicates": topic.duplicates,
        "publish_lag_ms_p50": _rounded(topic.publish_lag, 50),
        "publish_lag_ms_p99": _rounded(topic.publish_lag, 99),
        "webhooks_delivered": reconciled.webhooks.deliveries,
        "webhook_attempts": reconciled.webhooks.attempts,
        "webhook_lag_ms_p50": _rounded(reconciled.webhooks.lag, 50),
        "webhook_lag_ms_p99": _rounded(reconciled.webhooks.lag, 99),
        "fraud_decisions": reconciled.decisions.made,
        "wallets_restricted_by_fraud": reconciled.decisions.restricted,
        "freeze_ms": reconciled.decisions.freeze_ms,
        "read_model_rows": reconciled.read_model_rows,
        "read_model_wallets": reconciled.read_model_wallets,
        "holds_compared": reconciled.holds,
        "refunded_compared": reconciled.refunded,
        "limits_compared": reconciled.limits,
        "wallets_asked_for": reconciled.wallets_asked,
        "transactions_asked_for": reconciled.transactions_asked,
        "entries_exported": reconciled.answers.exported,
        "statements_closed": reconciled.answers.statements,
        "documents_opened": reconciled.answers.documents,
    }


def _rounded(durations: Durations, percent: float) -> float | None:
    value = durations.percentile_ms(percent)
    return None if value is None else round(value, 2)
