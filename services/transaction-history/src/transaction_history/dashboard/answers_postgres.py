"""Where answers are kept that workers make anew: who may make one, and how old those are that are served."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from contracts.ids import new_id
from servicekit.postgres import Connection, Transaction
from transaction_history.domain.dashboard import Dashboard, Question, TopAsked, TopWallets, question_of, question_text

Answered: TypeAlias = Dashboard | TopWallets

REFRESHED_EVERY: Final = timedelta(seconds=12)
"""Workers look every three seconds: an answer is made anew within 15."""
REFRESHED_FOR: Final = timedelta(minutes=10)
"""An answer that nobody has asked for since is not made anew."""
KEPT_FOR: Final = timedelta(hours=1)
SERVED_FOR: Final = timedelta(minutes=2)
"""Where workers do not come to it, whoever asks makes an answer that is older."""
COST_FACTOR: Final = 20
"""An answer that takes long to make is made less often: making it takes a twentieth of the time at most."""
TAKEN_FOR: Final = timedelta(seconds=20)
"""Longer than making an answer may take; who was killed over it does not keep others from it for longer."""
ASKED_WITHIN: Final = timedelta(minutes=1)
QUESTIONS_MAX: Final = 64
"""Of a tenant; those that were not asked for longest make room."""
FORGOTTEN_MAX: Final = 500

_READ: Final = """
    select answer, extract(epoch from clock_timestamp() - as_of)::float8 as age_s,
           asked_at < clock_timestamp() - $3::interval as is_touch_due
    from history_jobs.cached_answer where tenant_id = $1 and question = $2"""
_TOUCH: Final = """
    update history_jobs.cached_answer set asked_at = clock_timestamp()
    where tenant_id = $1 and question = $2 and asked_at < clock_timestamp() - $3::interval"""
_TAKE: Final = """
    insert into history_jobs.cached_answer as c (tenant_id, question, asked_at, token, taken_until)
    values ($1, $2, clock_timestamp(), $3, clock_timestamp() + $4::interval)
    on conflict (tenant_id, question) do update
        set asked_at = excluded.asked_at, token = excluded.token, taken_until = excluded.taken_until
        where c.taken_until < clock_timestamp()
          and (c.as_of is null or c.as_of < clock_timestamp() - $5::interval)
    returning true"""
_MAKE_ROOM: Final = """
    delete from history_jobs.cached_answer as c using (
        select question from history_jobs.cached_answer where tenant_id = $1 and question <> $2
        order by asked_at desc, question offset $3 for update skip locked) as o
    where c.tenant_id = $1 and c.question = o.question"""
_TAKE_DUE: Final = """
    update history_jobs.cached_answer as c set token = $1, taken_until = clock_timestamp() + $2::interval
    from (select tenant_id, question from history_jobs.cached_answer
          where asked_at > clock_timestamp() - $3::interval and taken_until < clock_timestamp()
            and (as_of is null or as_of < clock_timestamp()
                                          - greatest($4::interval, make_interval(secs => took_ms * $5 / 1000.0)))
          order by as_of nulls first limit 1 for update skip locked) as due
    where c.tenant_id = due.tenant_id and c.question = due.question
    returning c.tenant_id, c.question"""
_STORE: Final = """
    update history_jobs.cached_answer
    set answer = $4, as_of = $5, took_ms = $6, token = null, taken_until = '-infinity'
    where tenant_id = $1 and question = $2 and token = $3"""
_RELEASE: Final = """
    update history_jobs.cached_answer set token = null, taken_until = '-infinity'
    where tenant_id = $1 and question = $2 and token = $3"""
_FORGET: Final = """
    delete from history_jobs.cached_answer as c using (
        select tenant_id, question from history_jobs.cached_answer
        where asked_at < clock_timestamp() - $1::interval limit $2 for update skip locked) as o
    where c.tenant_id = o.tenant_id and c.question = o.question"""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, *age_s* seconds old; *is_touch_due* where it is time to note that it was asked for."""

    answer: Answered
    age_s: float
    is_touch_due: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """A question whose answer is this one's to make: nobody else makes it meanwhile, nor writes it."""

    tenant_id: UUID
    question: Question
    token: UUID


async def read(connection: Connection, tenant_id: UUID, question: Question) -> Kept | None:
    """Return what is kept; None where there is nothing, or nothing that is young enough to be served."""
    row = await connection.fetchrow(_READ, tenant_id, question_text(question), ASKED_WITHIN)
    if row is None or row["answer"] is None or row["age_s"] >= SERVED_FOR.total_seconds():
        return None
    kind: type[Answered] = TopWallets if isinstance(question, TopAsked) else Dashboard
    return Kept(msgspec.json.decode(row["answer"], type=kind), max(row["age_s"], 0.0), row["is_touch_due"])


async def touch(connection: Connection, tenant_id: UUID, question: Question) -> None:
    """Note that *question* is asked, so that its answer is made anew for a while."""
    await connection.execute(_TOUCH, tenant_id, question_text(question), ASKED_WITHIN)


async def take(tx: Transaction, tenant_id: UUID, question: Question) -> Taken | None:
    """Return the question as one to answer; None where another is at it, or has just been."""
    text, token = question_text(question), new_id()
    if not await tx.connection.fetchval(_TAKE, tenant_id, text, token, TAKEN_FOR, SERVED_FOR):
        return None
    await tx.connection.execute(_MAKE_ROOM, tenant_id, text, QUESTIONS_MAX - 1)
    return Taken(tenant_id, question, token)


async def take_due(tx: Transaction) -> Taken | None:
    """Return a question that somebody asks and whose answer is due to be made anew; None where there is none."""
    token = new_id()
    row = await tx.connection.fetchrow(_TAKE_DUE, token, TAKEN_FOR, REFRESHED_FOR, REFRESHED_EVERY, COST_FACTOR)
    return None if row is None else Taken(row["tenant_id"], question_of(row["question"]), token)


async def store(connection: Connection, taken: Taken, answer: Answered, *, took_ms: int) -> None:
    """Write the *answer* to what was *taken*, unless another has it by now."""
    text, body = question_text(taken.question), msgspec.json.encode(answer).decode()
    await connection.execute(_STORE, taken.tenant_id, text, taken.token, body, answer.told.as_of, took_ms)


async def release(connection: Connection, taken: Taken) -> None:
    """Let another make the answer that could not be made."""
    await connection.execute(_RELEASE, taken.tenant_id, question_text(taken.question), taken.token)


async def forget(tx: Transaction) -> int:
    """Delete what nobody has asked for long; return how many that were."""
    return int((await tx.connection.execute(_FORGET, KEPT_FOR, FORGOTTEN_MAX)).removeprefix("DELETE "))
