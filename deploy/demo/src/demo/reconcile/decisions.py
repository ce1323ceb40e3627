"""The fraud service's decisions: exactly the wallets that must be are restricted, each once and with reasons (I13)."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from demo.findings import Findings
from demo.http_client import HttpPool
from demo.reconcile.postgres import snapshot
from demo.stack import Platform

_RESTRICTED: Final = """
    select id from wallet.wallet where restrictions is not null and restrictions::jsonb @> '[{"source": "fraud"}]'"""
_RESTRICTIONS: Final = """
    select j.account_id, j.occurred_at - t.occurred_at as after, d.wallet_id is not null as is_settled
      from wallet.journal j
      left join wallet.settled_decision d on d.wallet_id = j.account_id and d.disposition = 'applied'
      left join lateral (select occurred_at from wallet.journal w
                          where w.shard = j.shard and w.seq < j.seq and w.account_id = j.account_id
                            and w.version = d.judged_version) t on true
     where j.type = 6 and j.actor = 'fraud'"""
_SETTLED: Final = "select count(*) from wallet.settled_decision"
_PUBLISHED: Final = "select count(*) from servicekit.outbox"
_OK, _CONFLICT = 200, 409


@dataclass(slots=True)
class DecisionFigures:
    """How many decisions were made, how many wallets restricted, and how long after the event that tripped the rule."""

    made: int = 0
    restricted: int = 0
    freeze_ms: float | None = None


class DecisionCheck:
    """Looks at what fraud did, once all is drained. *expected* are the wallets that it must have restricted."""

    def __init__(self, platform: Platform, expected: Collection[UUID], findings: Findings) -> None:
        self._platform = platform
        self._expected = expected
        self._findings = findings
        self._figures = DecisionFigures()

    async def run(self) -> DecisionFigures:
        """Compare; return the figures."""
        async with snapshot(self._platform.wallet_dsn) as wallet, snapshot(self._platform.fraud_dsn) as fraud:
            restricted = {row["id"] for row in await wallet.fetch(_RESTRICTED)}
            changes = await wallet.fetch(_RESTRICTIONS)
            settled, published = await wallet.fetchval(_SETTLED), await fraud.fetchval(_PUBLISHED)
        what = "fraud restricts the wallets {}, and must {}"
        self._judge(what, restricted, set(self._expected), is_right=restricted == set(self._expected))
        what = "{} decisions were made, {} are settled"
        self._judge(what, published, settled, is_right=published == settled)
        changed = sorted(row["account_id"].bytes for row in changes)
        what = "fraud restricted wallets {} times, by {} decisions in all"
        is_once = changed == sorted(each.bytes for each in self._expected) and all(row["is_settled"] for row in changes)
        self._judge(what, len(changed), settled, is_right=is_once)
        for wallet_id in self._expected:
            await self._check_wallet(wallet_id)
        times_ms = [row["after"].total_seconds() * 1_000 for row in changes if row["after"] is not None]
        self._figures = DecisionFigures(published, len(restricted), max(times_ms, default=None))
        return self._figures

    async def _check_wallet(self, wallet_id: UUID) -> None:
        """See that the next debit is refused, and that the risk desk can read why."""
        pool = HttpPool(self._platform.wallet_url, connections=1, credential=self._platform.credential)
        body = {"wallet_id": str(wallet_id), "amount": {"amount": "0.01", "currency": "USD"}}
        answer = await pool.post("/v1/withdrawals", f"demo-after-{wallet_id}", json.dumps(body).encode())
        pool.close()
        refused: dict[str, Any] = json.loads(answer.body)
        is_frozen = answer.status == _CONFLICT and refused["code"] == "wallet_frozen"
        self._judge("a debit of wallet {} was answered {}", wallet_id, answer.status, is_right=is_frozen)
        pool = HttpPool(self._platform.fraud_url, connections=1, credential=self._platform.credential)
        answer = await pool.get(f"/v1/risk/wallets/{wallet_id}")
        pool.close()
        reasons = json.loads(answer.body)["decisions"][0]["reasons"] if answer.status == _OK else []
        what = "GET risk of wallet {}: {}, reasons {}"
        self._judge(what, wallet_id, answer.status, reasons, is_right=bool(reasons))

    def _judge(self, what: str, *values: object, is_right: bool) -> None:
        self._findings.judge("I13", what, *values, is_right=is_right)
