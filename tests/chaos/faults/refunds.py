"""One transaction is taken back by many at once: exactly what fits goes, and each is told what became of it."""

import asyncio
from collections import Counter

from tests.chaos.faults.overtaking import settled_at
from tests.chaos.load.client import HttpClient, Response, Unanswered
from tests.chaos.load.history import OK, Command
from tests.chaos.run import Bite, Fault, Run

from contracts.scopes import Kind
from testkit.identities import introduce, make_test_key

DEPOSITED_MINOR = 5_000
REFUNDS = 50
REFUND_MINOR = 101
RETRY_S = 0.05
TOLD = frozenset({"refund_exceeds_transaction", "transaction_reversed"})
_ROW = "select cap_minor, used_minor from wallet.state where kind = 3 and id::text = $1"
_RETURNED = """
    select coalesce(sum(-posted_delta), 0)::bigint from wallet.journal
     where account_id::text = $1 and system_account is null and type in (25, 27, 28)"""


async def take_back_at_once(run: Run) -> Bite:
    """F38: fifty refunds, a reversal and a chargeback of one deposit at once, at two instances."""
    key = make_test_key(kind=Kind.OPERATOR)
    await introduce(run.platform.databases["wallet"].dsn_owner, *key.events())
    wallet = await run.bank.open_wallet()
    deposited = await settled_at(run, run.bank.deposit(wallet, DEPOSITED_MINOR), run.bank.ports[0])
    transaction = deposited.answer.json()["id"]
    await _known(run, key.headers["authorization"])
    commands = [_command(run, wallet, transaction, "refunds", REFUND_MINOR) for _ in range(REFUNDS)]
    commands += [_command(run, wallet, transaction, action, None) for action in ("reversal", "chargebacks")]
    run.chance.shuffle(commands)
    answers = await asyncio.gather(
        *(
            _settled(run, command, run.bank.ports[number % 2], key.headers["authorization"])
            for number, command in enumerate(commands)
        )
    )
    return Bite(
        what=f"{len(commands)} that take one deposit back, of which {sum(each.status in OK for each in answers)} did",
        count=len(commands),
        recovery_s=0.0,
        breaches=await _breaches(run, wallet, transaction, answers),
    )


def _command(run: Run, wallet: str, transaction: str, action: str, amount_minor: int | None) -> Command:
    amount = {} if amount_minor is None else {"amount": {"amount": f"{amount_minor / 100:.2f}", "currency": "USD"}}
    entries = () if amount_minor is None else ((wallet, -amount_minor),)
    path, body = f"/v1/transactions/{transaction}/{action}", {"reason": "chaos", **amount}
    return Command(action, run.bank.key(action), path, body, (entries,))


async def _settled(run: Run, command: Command, port: int, authorization: str) -> Response:
    """Ask until the answer is definite, and record it."""
    client = HttpClient(port, authorization=authorization)
    attempts = 0
    try:
        while True:
            attempts += 1
            try:
                answer = await client.request("POST", command.path, command.body, key=command.key)
            except Unanswered:
                run.history.unanswered += 1
            else:
                if answer.status < 500:
                    run.history.settle(command, answer, attempts=attempts, is_anothers=True)
                    return answer
            await asyncio.sleep(RETRY_S)
    finally:
        client.close()


async def _known(run: Run, authorization: str) -> None:
    """Wait until both instances know who asks."""
    for port in run.bank.ports:
        client = HttpClient(port, authorization=authorization)
        async with asyncio.timeout(30):
            while (await client.request("GET", "/v1/wallets?limit=1")).status != 200:  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(RETRY_S)
        client.close()


async def _breaches(run: Run, wallet: str, transaction: str, answers: list[Response]) -> list[str]:
    refused = Counter(each.json()["code"] for each in answers if each.status not in OK)
    found = [f"{count} were refused with {code}" for code, count in refused.items() if code not in TOLD]
    async with run.platform.connections() as connections:
        row = await connections["wallet"].fetchrow(_ROW, transaction)
        returned_minor = await connections["wallet"].fetchval(_RETURNED, wallet)
    told = (*(row or ()), returned_minor)
    if told != (DEPOSITED_MINOR,) * 3:
        found.append(f"cap, used and what went back are {told}")
    return found


FAULTS = (
    Fault(
        id="F38",
        title="fifty refunds, a reversal and a chargeback of one transaction at once",
        inflict=take_back_at_once,
    ),
)
