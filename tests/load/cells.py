"""The cells of the rounds: each writes transfers for some seconds and returns how many a second it made."""

import re
import subprocess
from collections.abc import Sequence

from tests.load import committing, generator
from tests.load.database import WALLETS, Bench
from tests.load.generator import Load
from tests.load.processes import Process
from tests.load.series import Rate

from wallet.adapters.ledger_postgres import PostgresLedger


def pgbench(bench: Bench, script: str, *, hot: bool, clients: int, seconds: float, sizes: tuple[int, int]) -> Rate:
    """Run one of the pgbench scripts: one transaction per transfer."""
    variables = {"payers": 1 if hot else WALLETS, "wallets": WALLETS, "payload_bytes": sizes[0], "body_bytes": sizes[1]}
    defined = [argument for name, value in variables.items() for argument in ("-D", f"{name}={value}")]
    command = [
        bench.server.binaries / "pgbench", "-n", "-M", "prepared", "-T", str(max(1, round(seconds))),
        "-c", str(clients), "-j", str(min(2, clients)),
        "--max-tries", "10", *defined, "-f", f"tests/load/pgbench/{script}.sql", bench.database.dsn_admin,
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    found = re.search(r"tps = ([0-9.]+)", ran.stdout)
    assert ran.returncode == 0, ran.stderr[:500]
    assert found is not None, ran.stdout
    return Rate(float(found[1]))


async def committer(bench: Bench, *, hot: bool, ahead: bool, seconds: float) -> Rate:
    """Drive the committer in this process."""
    ledger = PostgresLedger(bench.database.dsn_app)
    return await committing.rate(ledger, bench.wallet_ids, hot=hot, ahead=ahead, seconds=seconds)


async def http(processes: Sequence[Process], load: Load) -> Rate:
    """Send *load* to the processes."""
    cpu_s = sum(process.cpu_s for process in processes)
    sent = await generator.run([process.url for process in processes], load)
    used_s = sum(process.cpu_s for process in processes) - cpu_s
    return Rate(sent.commands / sent.seconds, 1e6 * used_s / sent.commands, sent.cpu_share)
