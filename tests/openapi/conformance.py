"""What every API is put through: each operation with valid and invalid requests, then sequences of operations."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import httpx2
import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import FlakyStrategyDefinition
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation.drivers import CoverageGenerator
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.generation.meta import coverage_scenario
from schemathesis.generation.overrides import Override
from schemathesis.generation.stateful.state_machine import StepInput, StepOutput
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance
from tests.openapi.filling import AnyCase, Filler

SEED: Final = 20_260_101
IS_DEEP: Final = os.environ.get("DEEP") == "1"
EXAMPLES: Final = 400 if IS_DEEP else 20
ALIKE: Final = 1_000 if IS_DEEP else 6
"""Of each kind of case that the schema itself leads to: a missing header, another method, a value at a bound."""
SEQUENCES: Final = 600 if IS_DEEP else 30
STEPS: Final = 8
SESSIONS_MAX: Final = 20
TOO_LARGE: Final = 413
_SUCCESS: Final = 2
ABOUT_DATA: Final = (negative_data_rejection, positive_data_acceptance)
"""The checks of whether a request was rightly accepted or refused for what it says."""

Check = Callable[..., Any]
AnyOperation = APIOperation[Any, Any, Any, Any]


@dataclass(frozen=True)
class Excluded:
    """A check that an operation is not put through, and why."""

    operation: str
    check: Check
    reason: str


@dataclass
class Conformance:
    """One running service under test. Every request has *credential*, a header that may do everything, and an address.

    *answers* counts them by operation and status, dry runs apart; *chained* counts the links that were followed;
    *guarded* are the operations that were seen to refuse who has no credential, and a bad one.
    """

    http: httpx2.Client
    session: requests.Session
    filler: Filler
    credential: Mapping[str, str]
    excluded: Sequence[Excluded] = ()
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    chained: int = 0
    guarded: set[str] = field(default_factory=set)
    _addresses: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.schema = schemathesis.openapi.from_url(str(self.http.base_url.join("/openapi.json")))
        known = set(self.operations())
        named = {each.operation for each in self.excluded} | set(self.filler.fills)
        assert named <= known, f"no such operations: {sorted(named - known)}"

    def operations(self) -> dict[str, AnyOperation]:
        """Return every operation of the document by its label, `POST /v1/transfers`."""
        found = [each.ok() for each in self.schema.get_all_operations() if isinstance(each, Ok)]
        return {operation.label: operation for operation in found}

    def put_through(self, label: str) -> None:
        """Send EXAMPLES requests, half of them valid, and those at the schema's bounds; run every check on each answer.

        Fails too where nothing was ever answered 2xx.
        """
        operation = self.operations()[label]
        modes = list(GenerationMode) if _can_be_negated(operation) else [GenerationMode.POSITIVE]
        for case in _boundaries(operation):
            self._send(case)
        for mode in modes:
            strategy = operation.as_strategy(generation_mode=mode)

            @hypothesis.seed(SEED)
            @_bounded(EXAMPLES // len(modes))
            @given(case=strategy)
            def send(case: AnyCase) -> None:
                self._send(case)

            send()
        statuses = {status: count for (answered, status), count in self.answers.items() if answered == label}
        assert any(status // 100 == 2 for status in statuses), f"{label} was never answered 2xx, but {statuses}"
        assert label in self.guarded or not self.is_guarded(label), f"{label} was never asked without a credential"

    def put_through_sequences(self) -> None:
        """Run SEQUENCES of operations that hand each other what they made."""
        conformance = self
        failures: list[FailureGroup] = []
        done, sessions = 0, 0

        class Machine(self.schema.as_state_machine()):  # type: ignore[misc]  # the library makes the class
            def step(self, input: StepInput) -> StepOutput:  # noqa: A002  the library's name
                is_linked = input.transition is not None and input.is_applied
                conformance.filler.fill(input.case, is_linked=is_linked)
                output: StepOutput = super().step(input)
                conformance.chained += is_linked and output.response.status_code // 100 == 2
                return output

            def get_call_kwargs(self, case: AnyCase) -> dict[str, Any]:
                given = super().get_call_kwargs(case)
                headers = {**(given.get("headers") or {}), **conformance.headers(case.operation.label)}
                return {**given, "session": conformance.session, "headers": headers}

            def validate_response(self, response: Response, case: AnyCase, *_: Any, **options: Any) -> None:
                try:
                    conformance.judge(case, response, recorder=self.recorder, transport_kwargs=options or None)
                except FailureGroup as failure:
                    failures.append(failure)
                    raise

            def teardown(self) -> None:
                nonlocal done
                done += 1
                super().teardown()

        while done < SEQUENCES and not failures:
            sessions += 1
            assert sessions <= SESSIONS_MAX, f"{done} sequences in {SESSIONS_MAX} sessions"
            # What was done before is still there, so the same draws may lead elsewhere: then a fresh session goes on.
            with suppress(FlakyStrategyDefinition, FailureGroup):
                Machine.run(settings=settings(_bounded(SEQUENCES - done), stateful_step_count=STEPS, derandomize=True))
        if failures:
            raise failures[0]

    def is_guarded(self, label: str) -> bool:
        """Tell whether the operation's document says that it asks for a credential."""
        return bool(self.operations()[label].definition.raw.get("security"))

    def headers(self, label: str) -> dict[str, str]:
        """Return the credential, and an address that nobody had before: each has its own limit of failures.

        Nothing for what asks for no credential: some of that is answered to addresses nearby alone.
        """
        if not self.is_guarded(label):
            return {}
        number = next(self._addresses)
        return {**self.credential, "X-Forwarded-For": f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"}

    def judge(self, case: AnyCase, response: Response, **options: Any) -> None:
        """Count the answer and run every check on it that is not excluded; of its credential, once an operation."""
        label = case.operation.label
        if str(case.query.get("dry_run")).lower() != "true":
            self.answers[label, response.status_code] += 1
        position = response.headers.get("ledger-position")
        if position:
            self.filler.position = position[0]
        excluded = [each.check for each in self.excluded if each.operation == label]
        if response.status_code == TOO_LARGE:
            excluded += ABOUT_DATA  # what is refused for its size was not looked into
        if label in self.guarded:
            excluded.append(ignored_auth)
        headers = self.headers(label)
        kwargs = {**(options.pop("transport_kwargs", None) or {}), "headers": headers}
        case.validate_response(response, excluded_checks=excluded, headers=headers, transport_kwargs=kwargs, **options)
        if response.status_code // 100 == _SUCCESS and self.is_guarded(label):
            self.guarded.add(label)

    def _send(self, case: AnyCase) -> None:
        self.filler.fill(case, is_linked=False)
        self.judge(case, case.call(session=self.session, headers=self.headers(case.operation.label)))


def _can_be_negated(operation: AnyOperation) -> bool:
    """Return whether there is anything in a request that could be wrong."""
    return bool(operation.body) or any(True for _ in operation.iter_parameters())


def _boundaries(operation: AnyOperation) -> Iterator[AnyCase]:
    """Give the cases that the schema itself leads to, of each kind at most ALIKE."""
    found = CoverageGenerator(
        operation=operation,
        generation_modes=list(GenerationMode),
        generation_config=operation.schema.config.generation_for(operation=operation, phase="coverage"),
        auth_storage=None,
        override=Override(),
        feedback=NO_FEEDBACK,
    )
    seen: Counter[object] = Counter()
    for case in found:
        kind = coverage_scenario(case)
        seen[kind] += 1
        if seen[kind] <= ALIKE:
            yield case


def _bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
