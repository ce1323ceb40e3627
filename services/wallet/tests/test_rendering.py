"""What results are answered: pinned to the byte, for a repeat is answered what an earlier release rendered."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from contracts.money import BALANCE_MINOR_MAX
from contracts.problems import PROBLEM_CODES
from contracts.scopes import Kind
from wallet.application.ports import CarriedOut
from wallet.application.units import Done, Refused, Stored
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.commands import Command, Context, Ids, decide
from wallet.domain.facts import Fact
from wallet.domain.lifecycle import CloseWallet, OpenWallet, WalletClosed
from wallet.domain.mandate import Mandate, platform_mandate
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.outcomes import Accepted, RefusalCode, Rejected, Subject
from wallet.domain.restrictions import FreezeWallet, UnfreezeWallet
from wallet.domain.rows import Rows
from wallet.domain.texts import FreeText
from wallet.domain.wallets import Restriction, Wallet, WalletStatus
from wallet.entrypoints.commands import _result
from wallet.entrypoints.rendering import JsonRenderer

TENANT, ONE, OTHER, TRANSACTION = UUID(int=1), UUID(int=10), UUID(int=11), UUID(int=12)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATH = "/v1/test"
CONTEXT = Context(
    platform_mandate(TENANT), NOW, Ids(beside=lambda _home: TRANSACTION, placed=lambda _tenant, _group: ONE)
)
RENDERER = JsonRenderer(CATALOG.answers)


def a_wallet(wallet_id: UUID = ONE, **changes: object) -> Wallet:
    """Return an open wallet with 100.00 USD in it, 5.00 of them held, but for *changes*."""
    wallet = Wallet(
        id=wallet_id,
        tenant_id=TENANT,
        owner_id="owner",
        currency="USD",
        status=WalletStatus.OPEN,
        restrictions=(),
        posted_minor=10_000,
        held_minor=500,
        overdraft_limit_minor=0,
        version=3,
        opened_at=NOW,
        last_at=NOW,
        private=None,
        operator_version=2,
    )
    return msgspec.structs.replace(wallet, **changes)


def rejected(command: Command, **changes: object) -> Rejected:
    wallet = a_wallet(**changes)  # type: ignore[arg-type] # its id is not among them
    decision = decide(command, Rows({wallet.id: wallet}), CONTEXT)
    assert isinstance(decision, Rejected)
    return decision


def refused_by_payee() -> Rejected:
    closed = a_wallet(OTHER, owner_id="somebody", status=WalletStatus.CLOSED)
    context = Context(Mandate(TENANT, Kind.USER, frozenset({"owner"})), NOW, CONTEXT.ids)
    decision = decide(TransferFunds(ONE, OTHER, 1, "USD"), Rows({ONE: a_wallet(), OTHER: closed}), context)
    assert isinstance(decision, Rejected)
    return decision


def done(command: Command) -> CarriedOut:
    rows: dict[UUID, Wallet] = {wallet_id: a_wallet(wallet_id) for wallet_id in (ONE, OTHER)}
    decision = decide(command, Rows(list(rows.items())), CONTEXT)
    assert isinstance(decision, Accepted)
    carried = []
    for fact in decision.facts:
        if isinstance(fact, Fact):
            rows[fact.wallet_id] = fact.evolve(rows[fact.wallet_id], NOW)
        carried.append((fact, rows[fact.wallet_id]))
    return CarriedOut(carried, (), decision.transaction_id, "2026-03-01T12:00:00.000000Z", CONTEXT.mandate)


REFUSALS = {
    RefusalCode.INSUFFICIENT_FUNDS: (
        rejected(WithdrawFunds(ONE, 10_000, "USD")),
        (
            b'{"type":"/problems/insufficient_funds","title":"The available balance is too low","status":409,'
            b'"detail":"Wallet 00000000-0000-0000-0000-00000000000a: the available balance is too low.",'
            b'"instance":"/v1/test","code":"insufficient_funds","wallet_id":"00000000-0000-0000-0000-00000000000a",'
            b'"available":{"amount":"95.00","currency":"USD"}}'
        ),
    ),
    RefusalCode.WALLET_FROZEN: (
        rejected(WithdrawFunds(ONE, 1, "USD"), restrictions=(Restriction("fraud", "debits", "why"),)),
        (
            b'{"type":"/problems/wallet_frozen","title":"The wallet is restricted","status":409,"detail":"Wallet '
            b'00000000-0000-0000-0000-00000000000a: the wallet is restricted.","instance":"/v1/test",'
            b'"code":"wallet_frozen","wallet_id":"00000000-0000-0000-0000-00000000000a",'
            b'"restrictions":[{"source":"fraud","scope":"debits"}]}'
        ),
    ),
    RefusalCode.WALLET_CLOSED: (
        rejected(CloseWallet(ONE), status=WalletStatus.CLOSED),
        (
            b'{"type":"/problems/wallet_closed","title":"The wallet is closed","status":409,"detail":"Wallet '
            b'00000000-0000-0000-0000-00000000000a: the wallet is closed.","instance":"/v1/test",'
            b'"code":"wallet_closed","wallet_id":"00000000-0000-0000-0000-00000000000a"}'
        ),
    ),
    RefusalCode.WALLET_NOT_EMPTY: (
        rejected(CloseWallet(ONE)),
        (
            b'{"type":"/problems/wallet_not_empty","title":"Only an empty wallet can be closed","status":409,'
            b'"detail":"Wallet 00000000-0000-0000-0000-00000000000a: only an empty wallet can be closed.",'
            b'"instance":"/v1/test","code":"wallet_not_empty","wallet_id":"00000000-0000-0000-0000-00000000000a",'
            b'"available":{"amount":"95.00","currency":"USD"},"held":{"amount":"5.00","currency":"USD"}}'
        ),
    ),
    RefusalCode.WALLET_NOT_FROZEN: (
        rejected(UnfreezeWallet(ONE, "operator")),
        (
            b'{"type":"/problems/wallet_not_frozen","title":"The wallet has no such restriction","status":409,'
            b'"detail":"Wallet 00000000-0000-0000-0000-00000000000a: the wallet has no such restriction.",'
            b'"instance":"/v1/test","code":"wallet_not_frozen","wallet_id":"00000000-0000-0000-0000-00000000000a"}'
        ),
    ),
    RefusalCode.DECISION_SUPERSEDED: (
        rejected(FreezeWallet(ONE, "fraud", "debits", "r", 1)),
        (
            b'{"type":"/problems/decision_superseded","title":"An operator changed the restrictions since the '
            b'decision was judged","status":409,"detail":"Wallet 00000000-0000-0000-0000-00000000000a: an operator '
            b'changed the restrictions since the decision was judged.","instance":"/v1/test",'
            b'"code":"decision_superseded","wallet_id":"00000000-0000-0000-0000-00000000000a"}'
        ),
    ),
    RefusalCode.CURRENCY_MISMATCH: (
        rejected(DepositFunds(ONE, 1, "EUR")),
        (
            b'{"type":"/problems/currency_mismatch","title":"The currencies differ","status":409,"detail":"Wallet '
            b'00000000-0000-0000-0000-00000000000a: the currencies differ.","instance":"/v1/test",'
            b'"code":"currency_mismatch","wallet_id":"00000000-0000-0000-0000-00000000000a","currency":"USD"}'
        ),
    ),
    RefusalCode.PAYEE_REFUSES: (
        refused_by_payee(),
        (
            b'{"type":"/problems/payee_refuses","title":"The payee does not take the payment","status":409,"detail":'
            b'"Wallet 00000000-0000-0000-0000-00000000000b: the payee does not take the payment.",'
            b'"instance":"/v1/test","code":"payee_refuses","wallet_id":"00000000-0000-0000-0000-00000000000b"}'
        ),
    ),
    RefusalCode.BALANCE_OVERFLOW: (
        rejected(DepositFunds(ONE, BALANCE_MINOR_MAX, "USD")),
        (
            b'{"type":"/problems/balance_overflow","title":"The balance would become too large","status":409,'
            b'"detail":"Wallet 00000000-0000-0000-0000-00000000000a: the balance would become too large.",'
            b'"instance":"/v1/test","code":"balance_overflow","wallet_id":"00000000-0000-0000-0000-00000000000a"}'
        ),
    ),
}


@pytest.mark.parametrize("code", RefusalCode)
def test_every_refusal_has_a_problem_and_is_read_back(code: RefusalCode) -> None:
    answer = RENDERER.rejected(Rejected(code, Subject("wallet", ONE), {}), PATH)

    assert answer[0] == PROBLEM_CODES[code].status
    assert RENDERER.result_of(answer) == Refused(code)


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_rendered_as_ever_and_read_back(code: RefusalCode) -> None:
    refusal, body = REFUSALS[code]

    answer = RENDERER.rejected(refusal, PATH)

    assert answer == (409, body)
    assert RENDERER.result_of(answer) == Refused(code)


def test_a_refused_batch_is_rendered_as_ever_and_read_back_as_what_refused_it() -> None:
    refusal, _ = REFUSALS[RefusalCode.INSUFFICIENT_FUNDS]

    answer = RENDERER.rejected_batch(refusal, 3, PATH)

    assert answer == (
        409,
        (
            b'{"type":"/problems/batch_refused","title":"The atomic batch was refused as a whole","status":409,'
            b'"detail":"Command 3 is refused; nothing was done.","instance":"/v1/test","code":"batch_refused",'
            b'"index":3,"problem":{"type":"/problems/insufficient_funds","title":"The available balance is too low",'
            b'"status":409,"detail":"Wallet 00000000-0000-0000-0000-00000000000a: the available balance is too low.",'
            b'"instance":"/v1/test","code":"insufficient_funds","wallet_id":"00000000-0000-0000-0000-00000000000a",'
            b'"available":{"amount":"95.00","currency":"USD"}}}'
        ),
    )
    assert RENDERER.result_of(answer) == Refused(RefusalCode.INSUFFICIENT_FUNDS)


TRANSFER = TransferFunds(ONE, OTHER, 100, "USD", FreeText("ref", "desc", {"k": "v"}, "dest"))
DEPOSIT = DepositFunds(ONE, 100, "USD")
DEPOSITED = (
    b'{"id":"00000000-0000-0000-0000-00000000000c","type":"deposit","status":"posted",'
    b'"amount":{"amount":"1.00","currency":"USD"},"entries":[{"amount":{"amount":"1.00","currency":"USD"},'
    b'"wallet_id":"00000000-0000-0000-0000-00000000000a","balance_after":{"amount":"101.00","currency":"USD"},'
    b'"version":4},{"amount":{"amount":"-1.00","currency":"USD"},"system_account":"external:USD"}],'
    b'"refunded":{"amount":"0.00","currency":"USD"},"fees":[],"reference":null,"description":null,"metadata":null,'
    b'"destination":null,"created_at":"2026-03-01T12:00:00.000000Z","refunds":[]}'
)


@pytest.mark.parametrize(
    ("command", "body"),
    [
        (
            TRANSFER,
            (
                b'{"id":"00000000-0000-0000-0000-00000000000c","type":"transfer","status":"posted",'
                b'"amount":{"amount":"1.00","currency":"USD"},"entries":[{"amount":{"amount":"-1.00","currency":"USD"},'
                b'"wallet_id":"00000000-0000-0000-0000-00000000000a","balance_after":{"amount":"99.00","currency":"USD"},'
                b'"version":4},{"amount":{"amount":"1.00","currency":"USD"},'
                b'"wallet_id":"00000000-0000-0000-0000-00000000000b","balance_after":{"amount":"101.00","currency":"USD"},'
                b'"version":4}],"refunded":{"amount":"0.00","currency":"USD"},"fees":[],"reference":"ref","description":"desc",'
                b'"metadata":{"k":"v"},"destination":"dest","created_at":"2026-03-01T12:00:00.000000Z",'
                b'"refunds":[]}'
            ),
        ),
        (DEPOSIT, DEPOSITED),
    ],
)
def test_a_transaction_is_rendered_as_ever_and_read_back(command: Command, body: bytes) -> None:
    answer = RENDERER.accepted(command, done(command))

    assert answer == (201, body)
    assert RENDERER.result_of(answer) == Done()


@pytest.mark.parametrize(("command", "status"), [(OpenWallet("owner", "USD"), 201), (CloseWallet(ONE), 200)])
def test_a_wallet_is_rendered_as_ever_and_read_back(command: Command, status: int) -> None:
    wallet = a_wallet(
        restrictions=(Restriction("fraud", "debits", "why"),),
        private=b'{"key_id":null,"reference":null,"description":null,"metadata":{"a":"b"},"label":"l",'
        b'"destination":null,"reason":null}',
    )

    answer = RENDERER.accepted(command, CarriedOut([(WalletClosed(ONE), wallet)], (), None, "", CONTEXT.mandate))

    assert answer == (
        status,
        (
            b'{"id":"00000000-0000-0000-0000-00000000000a","owner_id":"owner","currency":"USD","status":"frozen",'
            b'"label":"l","metadata":{"a":"b"},"balance":{"posted":{"amount":"100.00","currency":"USD"},'
            b'"held":{"amount":"5.00","currency":"USD"},"available":{"amount":"95.00","currency":"USD"}},'
            b'"overdraft_limit":{"amount":"0.00","currency":"USD"},"restrictions":[{"source":"fraud","scope":"debits",'
            b'"reason":"why"}],"version":3,"opened_at":"2026-03-01T12:00:00.000000Z",'
            b'"updated_at":"2026-03-01T12:00:00.000000Z"}'
        ),
    )
    assert RENDERER.result_of(answer) == Done()


def test_a_batch_is_rendered_as_ever_and_read_back() -> None:
    answer = RENDERER.batch([(201, DEPOSITED)])

    assert answer == (200, b'{"results":[{"status":201,"body":' + DEPOSITED + b',"problem":null,"replayed":false}]}')
    assert RENDERER.result_of(answer) == Done()


def test_a_refusal_of_what_no_request_sent_names_no_request() -> None:
    refusal, body = REFUSALS[RefusalCode.WALLET_CLOSED]

    assert RENDERER.rejected(refusal, None) == (409, body.replace(b'"instance":"/v1/test",', b""))


def test_a_refusal_is_told_by_its_type_whatever_its_status_and_whichever_release_stored_it() -> None:
    answer = 422, b'{"code":"unheard_of","status":422}'

    result = RENDERER.result_of(answer)
    shown = _result(Stored(result, answer, None, (), is_replayed=True), PATH)

    assert result == Refused("unheard_of")
    assert (shown.status, shown.body, shown.problem) == (422, None, msgspec.Raw(answer[1]))
