"""Run a process of the product with a planted bug: `python -m tests.chaos.platform.plants PART`."""

import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Final

from tests.chaos.platform.gate import Gate
from tests.chaos.platform.gated_ledger import GatedLedger
from tests.chaos.platform.gated_maintenance import GatedRun, briefly_led
from tests.chaos.platform.plants import clocks, consumers, jobs, ledgers, relays

import transaction_history.bootstrap as history
import wallet.bootstrap.api
import wallet.bootstrap.background
import wallet.bootstrap.housekeeping
from servicekit.consumer.runner import ConsumerRunner
from servicekit.lifecycle import run
from servicekit.relay.relay import Relay
from transaction_history.config import HistorySettings
from wallet.bootstrap.parts import Parts
from wallet.config import WalletSettings


def _api(ledger_class: type[GatedLedger]) -> int:
    settings = WalletSettings()
    ledger = ledger_class(settings.wallet_database_url, gate=Gate.of_process(), commit_lock=settings.wallet_commit_lock)
    return run(
        lambda shutdown: wallet.bootstrap.api.serve_api(settings, shutdown, parts=Parts(ledger=ledger)),
        drain_s=settings.drain_s,
    )


def _relay(relay_class: type[Relay]) -> int:
    settings = WalletSettings()
    return run(
        lambda shutdown: wallet.bootstrap.background.run_relay(settings, shutdown, relay_class=relay_class),
        drain_s=settings.drain_s,
    )


def _projector(runner_class: type[ConsumerRunner]) -> int:
    settings = HistorySettings()
    return run(
        lambda shutdown: history.run_projector(settings, shutdown, runner_class=runner_class), drain_s=settings.drain_s
    )


def _maintenance(run_class: type[GatedRun]) -> int:
    settings = WalletSettings()
    return run(
        lambda shutdown: wallet.bootstrap.housekeeping.run_maintenance(
            settings, shutdown, jobs_as=briefly_led(run_class)
        ),
        drain_s=settings.drain_s,
    )


def _api_by(ahead: timedelta) -> int:
    clocks.set_wrong(ahead)
    return _api(GatedLedger)


_PARTS: Final[Mapping[str, Callable[[], int]]] = {
    "late-key": partial(_api, ledgers.LateKeyLedger),
    "early-answer": partial(_api, ledgers.EarlyAnswerLedger),
    "unchecked-reads": partial(_api, ledgers.UncheckedReadsLedger),
    "one-stamp": partial(_api, ledgers.OneStampLedger),
    "hour-ahead": partial(_api_by, timedelta(hours=1)),
    "hour-behind": partial(_api_by, timedelta(hours=-1)),
    "serial": partial(_relay, relays.SerialRelay),
    "horizon": partial(_relay, relays.HorizonRelay),
    "unfenced": partial(_maintenance, jobs.UnfencedRun),
    "no-lease": partial(_relay, relays.UnleasedRelay),
    "no-dedupe": partial(_projector, consumers.UndedupedRunner),
    "early-checkpoint": partial(_projector, consumers.EarlyCheckpointRunner),
    "early-offset": partial(_projector, consumers.EarlyOffsetRunner),
}

if __name__ == "__main__":
    sys.exit(_PARTS[sys.argv[1]]())
