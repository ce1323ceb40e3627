"""The command routes: a request becomes a unit, the unit's outcome an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from contracts import problems
from contracts.positions import format_position
from contracts.problems import PROBLEM_CODES, ProblemCode
from servicekit.access.admission import RawHeaders, require
from servicekit.clock import monotonic_s
from servicekit.failures import RETRY_AFTER_S, Overloaded
from servicekit.http.edge.command import CommandRequest, CommandResponse
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError, Problem, problem_from
from servicekit.http.routes.parsing import path_id
from wallet.application.dry_run import DryRun
from wallet.application.failures import InFlight, OutcomeUnknown
from wallet.application.queue import CommandQueue
from wallet.application.units import (
    AheadOfClock,
    Claim,
    Deferred,
    Forbidden,
    KeyReused,
    NotFound,
    Outcome,
    Refused,
    Stored,
    Unit,
    UnitKey,
    fingerprint,
)
from wallet.domain.commands import Command
from wallet.entrypoints.batches import BatchMembers
from wallet.entrypoints.bodies import BatchBody, CommandResult
from wallet.entrypoints.fields import is_owner_id
from wallet.entrypoints.mandates import mandate_of
from wallet.entrypoints.rendering import OK
from wallet.entrypoints.slices import CommandSlice, Lookups, Prepare

_REPLAYED: Final = (b"idempotency-replayed", b"true")
_encode = msgspec.json.Encoder().encode
Handler = Callable[[CommandRequest[Any]], Awaitable[CommandResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandHandlers:
    """What the command routes share. *deadline_s* is how long a command may take from its arrival.

    Commands among *preparing* are prepared with *lookups* once their fingerprint is made.
    """

    queue: CommandQueue
    dry_run: DryRun
    members: BatchMembers
    preparing: Mapping[type[Command], Prepare]
    lookups: Lookups
    deadline_s: float

    def single(self, of: CommandSlice) -> Handler:
        """Return the handler of a single command's route."""
        located_at = (of.located_at or "").encode()
        kind = of.path_kind
        parse = path_id(_not_found(kind or ""), f"The id in the path is not a {kind} id.")

        async def handle(request: CommandRequest[Any]) -> CommandResponse:
            if kind is None:
                path, command = request.path, of.to_command(request.body, None, "")
            elif of.is_path_text:
                path, text = request.path, request.path_params[f"{kind}_id"]
                if not is_owner_id(text):
                    raise parse.missing(text)
                command = of.to_command(request.body, text, "")
            else:
                given = request.path_params[f"{kind}_id"]
                named = parse(given)
                # The id in its canonical form: it may be repeated in capitals.
                path, command = request.path.replace(given, str(named)), of.to_command(request.body, named, "")
            if of.also_needs is not None:
                require(request.principal, of.also_needs(request.body))
            _charge(request, (command,))
            unit = self._unit(request, (command,), _key_of(request), path=path)
            if of.prepare is not None:
                await self._prepare(request, [unit])
            return await self._answer(request, unit, located_at)

        return handle

    async def batch(self, request: CommandRequest[Any]) -> CommandResponse:
        """Carry out 1 to 1,000 commands, all or none or each for itself."""
        is_atomic = request.body.mode == "atomic"
        _refuse_bad_keys(request, is_atomic=is_atomic)
        commands = [
            self.members.command(member, index, request.principal) for index, member in enumerate(request.body.commands)
        ]
        _charge(request, commands)
        if is_atomic:
            unit = self._unit(request, tuple(commands), _key_of(request), path=request.path, is_atomic_batch=True)
            await self._prepare(request, [unit])
            return await self._answer(request, unit, b"")
        claim = _claim_of(request, commands)
        units = [
            self._unit(request, (command,), _key_of_part(request, index), path=request.path, claim=claim)
            for index, command in enumerate(commands)
        ]
        await self._prepare(request, units)
        outcomes = await self._outcomes(request, units)
        return _independent_answer(outcomes, request.path)

    async def _prepare(self, request: CommandRequest[Any], units: Sequence[Unit]) -> None:
        """Give the commands of *units* what is looked up for them; raises Overloaded where that takes too long."""
        try:
            async with asyncio.timeout(units[0].deadline_s - monotonic_s()):
                await self._look_up(request, units)
        except TimeoutError as error:
            raise Overloaded("What the command needs could not be read in time: nothing was done.") from error

    async def _look_up(self, request: CommandRequest[Any], units: Sequence[Unit]) -> None:
        """Prepare the commands of *units*, those of one kind with one look."""
        waiting: dict[Prepare, list[tuple[int, int]]] = {}
        for number, unit in enumerate(units):
            for place, command in enumerate(unit.commands):
                prepare = self.preparing.get(type(command))
                if prepare is not None:
                    waiting.setdefault(prepare, []).append((number, place))
        for prepare, places in waiting.items():
            asked = [units[number].commands[place] for number, place in places]
            prepared = await prepare(self.lookups, mandate_of(request.principal), asked)
            for (number, place), command in zip(places, prepared, strict=True):
                before = units[number].commands
                units[number].commands = (*before[:place], command, *before[place + 1 :])

    def _unit(
        self,
        request: CommandRequest[Any],
        commands: tuple[Command, ...],
        key: UnitKey,
        *,
        path: str,
        is_atomic_batch: bool = False,
        claim: Claim | None = None,
    ) -> Unit:
        principal = request.principal
        return Unit(
            path,
            commands,
            is_atomic_batch,
            mandate_of(principal),
            principal.subject,
            key,
            fingerprint(path, commands),
            request.received_s + self.deadline_s,
            request.traceparent,
            claim=claim,
        )

    async def _answer(self, request: CommandRequest[Any], unit: Unit, location: bytes) -> CommandResponse:
        if request.dry_run:
            (outcome,) = await self.dry_run.outcomes([unit])
            return _response(outcome, location, is_dry_run=True)
        try:
            outcome = await self.queue.submit(unit)
        except (OutcomeUnknown, InFlight) as error:
            raise _problem_of(error) from error
        return _response(outcome, location)

    async def _outcomes(self, request: CommandRequest[Any], units: Sequence[Unit]) -> "list[Outcome | Exception]":
        if request.dry_run:
            return [*await self.dry_run.outcomes(units)]
        return list(await asyncio.gather(*(self._submitted(unit) for unit in units)))

    def _submitted(self, unit: Unit) -> "asyncio.Future[Outcome | Exception]":
        """Return the future of the outcome or of the error, so that one unit's failure leaves the others."""
        settled: asyncio.Future[Outcome | Exception] = asyncio.get_running_loop().create_future()
        try:
            submitted = self.queue.submit(unit)
        except Exception as error:  # noqa: BLE001 - it becomes this unit's result
            settled.set_result(error)
            return settled

        def settle(done: "asyncio.Future[Outcome]") -> None:
            if not settled.done():
                error = done.exception()
                assert error is None or isinstance(error, Exception)
                settled.set_result(error or done.result())

        submitted.add_done_callback(settle)
        return settled


def _not_found(kind: str) -> ProblemCode:
    """Return the code that says that there is no such *kind* of thing: its own, if it has one."""
    return PROBLEM_CODES.get(f"{kind}_not_found", problems.NOT_FOUND)


def _key_of(request: CommandRequest[Any]) -> UnitKey:
    return request.principal.client, request.idempotency_key or "", 0


def _key_of_part(request: CommandRequest[Any], index: int) -> UnitKey:
    """Return the command's own key, or its part of the batch's."""
    client, of_batch, _ = _key_of(request)
    own = request.body.commands[index].idempotency_key
    return (client, of_batch, index + 1) if own is None else (client, own, 0)


def _claim_of(request: CommandRequest[Any], commands: Sequence[Command]) -> Claim:
    """Return what every command of an independent batch holds: the batch's key is for these commands, and no others."""
    keys = [command.idempotency_key or "" for command in request.body.commands]
    return Claim(_key_of(request), fingerprint(" ".join([request.path, "independent", *keys]), commands))


def _charge(request: CommandRequest[Any], commands: Sequence[Command]) -> None:
    """Charge the caller's limits for what *commands* cost beyond the request; raises Limited."""
    request.allowance.spend(len(commands) - 1)
    for command in commands:
        if command.debits is not None:
            request.allowance.debit(command.debits)


def _refuse_bad_keys(request: CommandRequest[Any], *, is_atomic: bool) -> None:
    seen = {request.idempotency_key}
    for index, command in enumerate(request.body.commands):
        key = command.idempotency_key
        if key is None:
            continue
        pointer = f"/commands/{index}/idempotency_key"
        if is_atomic:
            raise invalid_request(FieldError(pointer, "inner_key", "An atomic batch has one key, in the header."))
        if key in seen:
            raise invalid_request(FieldError(pointer, "duplicate_key", "The key stands twice in this request."))
        seen.add(key)


def _response(outcome: Outcome, location: bytes, *, is_dry_run: bool = False) -> CommandResponse:
    if not isinstance(outcome, Stored):
        raise _problem_of_outcome(outcome)
    status, body = outcome.answer
    if is_dry_run:
        return CommandResponse(status if isinstance(outcome.result, Refused) else OK, body, [])
    headers: RawHeaders = []
    if outcome.resource_id is not None:
        headers.append((b"location", location + str(outcome.resource_id).encode()))
    if outcome.positions:
        headers.append((b"ledger-position", format_position(outcome.positions).encode()))
    if outcome.is_replayed:
        headers.append(_REPLAYED)
    return CommandResponse(status, body, headers)


def _problem_of_outcome(outcome: KeyReused | NotFound | Forbidden | Deferred | AheadOfClock) -> Problem:
    if isinstance(outcome, KeyReused):
        return Problem(problems.IDEMPOTENCY_KEY_REUSED, "The key was used for another request; nothing was done.")
    if isinstance(outcome, AheadOfClock):
        detail = (
            f"Wallet {outcome.wallet_id} is ahead of the ledger's clock: its money stands still until that is past."
        )
        return Problem(problems.WALLET_AHEAD_OF_CLOCK, detail, wallet_id=outcome.wallet_id, retry_after_s=RETRY_AFTER_S)
    at: dict[str, Any] = {} if outcome.index is None else {"index": outcome.index}
    if isinstance(outcome, Deferred):
        why = outcome.why
        return Problem(PROBLEM_CODES[why.code], why.detail, retry_after_s=RETRY_AFTER_S, **at)
    if isinstance(outcome, Forbidden):
        return Problem(problems.FORBIDDEN, outcome.refused.detail, kind=outcome.refused.kind.value, **at)
    missing = outcome.missing
    facts: dict[str, Any] = {f"{missing.kind}_id": missing.id, **at}
    return Problem(_not_found(missing.kind), f"There is no {missing.kind} {missing.id}.", **facts)


def _problem_of(error: Exception) -> Problem:
    match error:
        case OutcomeUnknown(detail=detail):
            return Problem(problems.OUTCOME_UNKNOWN, detail, retry_after_s=RETRY_AFTER_S)
        case InFlight(detail=detail):
            return Problem(problems.IN_FLIGHT, detail, retry_after_s=RETRY_AFTER_S)
        case _:
            return problem_from(error)


def _independent_answer(outcomes: "Sequence[Outcome | Exception]", path: str) -> CommandResponse:
    if KeyReused(by_batch=True) in outcomes:
        raise _problem_of_outcome(KeyReused(by_batch=True))
    results = [_result(outcome, path) for outcome in outcomes]
    highest: dict[int, int] = {}
    for outcome in outcomes:
        if isinstance(outcome, Stored):
            for shard, sequence in outcome.positions:
                highest[shard] = max(sequence, highest.get(shard, 0))
    headers: RawHeaders = []
    if highest:
        headers.append((b"ledger-position", format_position(sorted(highest.items())).encode()))
    if all(result.replayed for result in results):
        headers.append(_REPLAYED)
    return CommandResponse(OK, _encode(BatchBody(results)), headers)


def _result(outcome: Outcome | Exception, path: str) -> CommandResult:
    if isinstance(outcome, Stored):
        status, answered = outcome.answer
        raw = msgspec.Raw(answered)
        body, problem = (None, raw) if isinstance(outcome.result, Refused) else (raw, None)
        return CommandResult(status, body, problem, outcome.is_replayed)
    failed = _problem_of(outcome) if isinstance(outcome, Exception) else _problem_of_outcome(outcome)
    return CommandResult(failed.code.status, None, msgspec.Raw(failed.render(path)), replayed=False)
