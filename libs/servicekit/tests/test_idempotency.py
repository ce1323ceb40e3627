"""A command happens once under its key: a repeat is answered what is stored, what was undone leaves the key free."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from servicekit.idempotency import Answer, InFlight, Keyed, KeyReused, Once, Undone
from servicekit.postgres import Pool, PoolSettings, Transaction, open_pool
from testkit.databases import Server

pytestmark = pytest.mark.integration

DONE = Answer(status=201, body=b'{"secret":"s"}', location="/things/1", stored=b'{"secret":null}')
CLIENT = UUID(int=1)


def keyed(key: str = "k", said: bytes = b"said") -> Keyed:
    return Keyed(client=CLIENT, key=key, fingerprint=said)


@pytest.fixture
async def schema(postgres_server: Server) -> AsyncIterator[str]:
    name = f"once_{secrets.token_hex(6)}"
    async with await open_pool(PoolSettings(dsn=postgres_server.admin_dsn, application_name="probe")) as pool:
        async with pool.connection() as connection:
            await connection.execute(
                f"""create schema {name};
                    create table {name}.done (id int);
                    create table {name}.idempotency (
                        client uuid, key text, fingerprint bytea not null, status smallint not null, location text,
                        body bytea not null, created_at timestamptz not null, primary key (client, key))"""
            )
        yield name
        async with pool.connection() as connection:
            await connection.execute(f"drop schema {name} cascade")


@pytest.fixture
async def pool(postgres_server: Server) -> AsyncIterator[Pool]:
    settings = PoolSettings(
        dsn=postgres_server.admin_dsn, application_name="probe", max_size=2, session={"lock_timeout": "200ms"}
    )
    async with await open_pool(settings) as opened:
        yield opened


class Work:
    """Inserts a row and answers *answer*."""

    def __init__(self, schema: str, answer: Answer | Undone[str]) -> None:
        self._schema = schema
        self._answer = answer

    async def __call__(self, tx: Transaction) -> Answer | Undone[str]:
        await tx.connection.execute(f"insert into {self._schema}.done values (1)")
        return self._answer


async def done(pool: Pool, schema: str) -> int:
    async with pool.connection() as connection:
        count: int = await connection.fetchval(f"select count(*) from {schema}.done")
    return count


async def test_a_repeat_is_answered_what_is_stored_without_secrets(pool: Pool, schema: str) -> None:
    once, work = Once(pool, table=f"{schema}.idempotency"), Work(schema, DONE)
    nothing = await once.replay(keyed())

    first, again = await once.run(keyed(), work), await once.run(keyed(), work)

    stored = Answer(status=201, body=b'{"secret":null}', location="/things/1", is_replayed=True)
    assert nothing is None
    assert (first, again) == (DONE, stored)
    assert await once.replay(keyed()) == stored
    assert await done(pool, schema) == 1


async def test_a_key_is_for_one_command(pool: Pool, schema: str) -> None:
    once, work = Once(pool, table=f"{schema}.idempotency"), Work(schema, DONE)
    await once.run(keyed(), work)

    other = await once.run(keyed(said=b"other"), work)

    assert other == await once.replay(keyed(said=b"other")) == KeyReused()
    assert await done(pool, schema) == 1


async def test_what_was_undone_leaves_no_trace_and_the_key_free(pool: Pool, schema: str) -> None:
    once = Once(pool, table=f"{schema}.idempotency")

    undone = await once.run(keyed(), Work(schema, Undone("too often")))

    assert undone == Undone("too often")
    assert await once.replay(keyed()) is None
    assert await done(pool, schema) == 0
    assert await once.run(keyed(), Work(schema, DONE)) == DONE


async def test_an_error_leaves_no_trace_and_the_key_free(pool: Pool, schema: str) -> None:
    once = Once(pool, table=f"{schema}.idempotency")

    async def failing(tx: Transaction) -> Answer:
        await tx.connection.execute(f"insert into {schema}.done values (1)")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await once.run(keyed(), failing)

    assert await once.replay(keyed()) is None
    assert await done(pool, schema) == 0


async def test_of_two_at_once_one_works_and_the_other_waits_for_its_answer_or_gives_up(pool: Pool, schema: str) -> None:
    once, begun, may_end = Once(pool, table=f"{schema}.idempotency"), asyncio.Event(), asyncio.Event()

    async def slow(_tx: Transaction) -> Answer | Undone[str]:
        begun.set()
        await may_end.wait()
        return DONE

    first = asyncio.create_task(once.run(keyed(), slow))
    await begun.wait()
    given_up = await once.run(keyed(), Work(schema, DONE))
    waiting = asyncio.create_task(once.run(keyed(), Work(schema, DONE)))
    may_end.set()

    assert given_up == InFlight()
    assert await first == DONE
    assert (await waiting) == Answer(status=201, body=b'{"secret":null}', location="/things/1", is_replayed=True)
    assert await done(pool, schema) == 0
