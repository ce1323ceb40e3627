"""Bodies of commands as clients send them, and the commands they become. Unknown fields are refused."""

from collections.abc import Callable
from typing import Annotated, Final, Literal, assert_never
from uuid import UUID

from msgspec import Meta, Struct

from contracts.money import EXPONENTS, Money, MoneyError, parse_amount_minor
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from wallet.domain.commands import Command
from wallet.domain.lifecycle import CloseWallet, OpenWallet
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.restrictions import FreezeWallet, UnfreezeWallet
from wallet.domain.texts import FreeText
from wallet.domain.wallets import RestrictionScope

OPERATOR: Final = "operator"
"""The source of a restriction set over the API."""

COMMANDS_MAX: Final = 1_000

# What is only said in the OpenAPI document, and checked elsewhere: NUL by the decoding of every body, currencies and
# amounts by what makes commands of requests.
_NO_NUL: Final = {"pattern": r"^[^\x00]*$"}
_KNOWN: Final = {"enum": sorted(EXPONENTS)}
_DECIMAL: Final = {"pattern": r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?$"}

OwnerId = Annotated[
    str, Meta(min_length=1, max_length=100, description="Your id of the wallet's owner.", extra_json_schema=_NO_NUL)
]
CurrencyCode = Annotated[
    str, Meta(min_length=3, max_length=3, description="An ISO 4217 code.", extra_json_schema=_KNOWN)
]
Placement = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="Wallets of one placement group are stored together; the owner's own group unless named.",
        extra_json_schema=_NO_NUL,
    ),
]
Label = Annotated[str, Meta(max_length=100, extra_json_schema=_NO_NUL)]
Reference = Annotated[
    str, Meta(min_length=1, max_length=100, description="Your own id of the transaction.", extra_json_schema=_NO_NUL)
]
Description = Annotated[str, Meta(max_length=500, extra_json_schema=_NO_NUL)]
Destination = Annotated[
    str, Meta(min_length=1, max_length=500, description="Where the money goes outside.", extra_json_schema=_NO_NUL)
]
ReasonText = Annotated[str, Meta(min_length=1, max_length=500, extra_json_schema=_NO_NUL)]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=40, extra_json_schema=_NO_NUL)]
MetadataValue = Annotated[str, Meta(max_length=500, extra_json_schema=_NO_NUL)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=20)]
# Said in the document as it is checked: $ alone would let a newline through here, and readers of it know no \Z.
KeyText = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+$(?!\n)")]


class Amount(Money, frozen=True, forbid_unknown_fields=True):
    """An amount above zero, without a sign, in the currency's decimals or fewer: at most 9·10¹⁴ of its minor units."""

    amount: Annotated[str, Meta(extra_json_schema=_DECIMAL)]
    currency: Annotated[str, Meta(extra_json_schema=_KNOWN)]


class OpenWalletRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Open a wallet."""

    owner_id: OwnerId
    currency: CurrencyCode
    label: Label | None = None
    metadata: Metadata | None = None
    placement: Placement | None = None


class DepositRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Take money in from outside."""

    wallet_id: UUID
    amount: Amount
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata | None = None


class WithdrawalRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Pay money out."""

    wallet_id: UUID
    amount: Amount
    destination: Destination | None = None
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata | None = None


class TransferRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Move money between two wallets of one currency."""

    source_wallet_id: UUID
    destination_wallet_id: UUID
    amount: Amount
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata | None = None


class FreezeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Restrict a wallet: `debits` refuses new debits and holds, `all` refuses credits too."""

    reason: ReasonText
    scope: RestrictionScope


class UnfreezeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Lift the restriction that *source* holds on a wallet: the operator's own, or one that a service set."""

    reason: ReasonText | None = None
    source: Literal["operator", "fraud"] = OPERATOR


class CloseRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Close an empty wallet."""


SingleRequest = (
    OpenWalletRequest
    | DepositRequest
    | WithdrawalRequest
    | TransferRequest
    | FreezeRequest
    | UnfreezeRequest
    | CloseRequest
)


class BatchOpenWallet(OpenWalletRequest, tag_field="type", tag="open_wallet"):
    """`open_wallet` in a batch."""

    idempotency_key: KeyText | None = None


class BatchDeposit(DepositRequest, tag_field="type", tag="deposit"):
    """`deposit` in a batch."""

    idempotency_key: KeyText | None = None


class BatchWithdrawal(WithdrawalRequest, tag_field="type", tag="withdrawal"):
    """`withdrawal` in a batch."""

    idempotency_key: KeyText | None = None


class BatchTransfer(TransferRequest, tag_field="type", tag="transfer"):
    """`transfer` in a batch."""

    idempotency_key: KeyText | None = None


class BatchFreeze(FreezeRequest, tag_field="type", tag="freeze"):
    """`freeze` in a batch."""

    wallet_id: UUID
    idempotency_key: KeyText | None = None


class BatchUnfreeze(UnfreezeRequest, tag_field="type", tag="unfreeze"):
    """`unfreeze` in a batch."""

    wallet_id: UUID
    idempotency_key: KeyText | None = None


class BatchClose(CloseRequest, tag_field="type", tag="close"):
    """`close` in a batch."""

    wallet_id: UUID
    idempotency_key: KeyText | None = None


BatchCommand = (
    BatchOpenWallet | BatchDeposit | BatchWithdrawal | BatchTransfer | BatchFreeze | BatchUnfreeze | BatchClose
)


class BatchRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """1 to 1,000 commands: `atomic`, all or none, or `independent`, each for itself."""

    mode: Literal["atomic", "independent"]
    commands: Annotated[list[BatchCommand], Meta(min_length=1, max_length=COMMANDS_MAX)]


def to_command(request: SingleRequest, wallet_id: UUID | None = None, pointer: str = "") -> Command:
    """Return the command that *request* asks for, of *wallet_id* where the path or the batch names it.

    Raises Problem `invalid_request`; *pointer* is where the request stands in the body.
    """
    match request:
        case TransferRequest():
            return _transfer(request, pointer)
        case DepositRequest() | WithdrawalRequest():
            return _money_through_the_border(request, pointer)
        case OpenWalletRequest():
            return _open(request, pointer)
        case _:
            assert wallet_id is not None
            return _status_change(request, wallet_id)


def batched_command(request: BatchCommand, pointer: str) -> Command:
    """Return the command of one member of a batch; raises as `to_command` does."""
    wallet_id = request.wallet_id if isinstance(request, BatchFreeze | BatchUnfreeze | BatchClose) else None
    return to_command(request, wallet_id, pointer)


def _open(request: OpenWalletRequest, pointer: str) -> OpenWallet:
    if request.currency not in EXPONENTS:
        raise invalid_request(
            FieldError(f"{pointer}/currency", "unknown_currency", "The currency is not an ISO 4217 code known here.")
        )
    text = None
    if request.label is not None or request.metadata is not None:
        text = FreeText(label=request.label, metadata=_sorted(request.metadata))
    return OpenWallet(request.owner_id, request.currency, text, request.placement)


def _transfer(request: TransferRequest, pointer: str) -> TransferFunds:
    if request.source_wallet_id == request.destination_wallet_id:
        raise invalid_request(
            FieldError(f"{pointer}/destination_wallet_id", "same_wallet", "A transfer needs two different wallets.")
        )
    amount_minor = _amount_minor(request.amount, pointer)
    return TransferFunds(
        request.source_wallet_id,
        request.destination_wallet_id,
        amount_minor,
        request.amount.currency,
        _details(request.reference, request.description, request.metadata),
    )


def _money_through_the_border(request: DepositRequest | WithdrawalRequest, pointer: str) -> Command:
    destination = request.destination if isinstance(request, WithdrawalRequest) else None
    make: Callable[..., Command] = WithdrawFunds if isinstance(request, WithdrawalRequest) else DepositFunds
    return make(
        request.wallet_id,
        _amount_minor(request.amount, pointer),
        request.amount.currency,
        _details(request.reference, request.description, request.metadata, destination),
    )


def _status_change(request: FreezeRequest | UnfreezeRequest | CloseRequest, wallet_id: UUID) -> Command:
    match request:
        case FreezeRequest():
            return FreezeWallet(wallet_id, OPERATOR, request.scope, request.reason)
        case UnfreezeRequest():
            return UnfreezeWallet(wallet_id, request.source, request.reason)
        case CloseRequest():
            return CloseWallet(wallet_id)
        case _:
            assert_never(request)


def _amount_minor(amount: Money, pointer: str) -> int:
    try:
        return parse_amount_minor(amount.amount, amount.currency)
    except MoneyError as error:
        field = "currency" if error.code == "unknown_currency" else "amount"
        raise invalid_request(FieldError(f"{pointer}/amount/{field}", error.code, error.detail)) from None


def _details(
    reference: str | None, description: str | None, metadata: dict[str, str] | None, destination: str | None = None
) -> FreeText | None:
    if reference is None and description is None and metadata is None and destination is None:
        return None
    return FreeText(reference, description, _sorted(metadata), destination)


def _sorted(metadata: dict[str, str] | None) -> dict[str, str] | None:
    """Return *metadata* in one order, so that the order of members does not make another request of it."""
    return dict(sorted(metadata.items())) if metadata else metadata
