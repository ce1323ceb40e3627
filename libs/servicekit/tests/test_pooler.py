"""A real pgbouncer before a real PostgreSQL: a process finds it out and says what to do."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from engines import accounts
from engines.daemon import Command, Daemon
from engines.debian import find_program
from engines.ports import LOOPBACK, free_ports, is_taken
from servicekit.migrations import servicekit_source
from servicekit.postgres import SESSION_SETTINGS
from servicekit.service.pooler import BehindPooler, refuse_pooler
from testkit.databases import Server, migrated_template

pytestmark = pytest.mark.integration

OpenPooler = Callable[[str], str]
BOUNDS = ("lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")


@pytest.fixture
def open_pooler(postgres_server: Server, run_folder: Path) -> Iterator[OpenPooler]:
    """Give what starts a pooler in transaction mode, with more lines of settings, and returns its address."""
    started: list[Daemon] = []

    def start(settings: str) -> str:
        (port,) = free_ports(1)
        address = urlsplit(postgres_server.admin_dsn)
        folder = run_folder / f"pooler-{port}"
        account = accounts.unprivileged_account()
        accounts.make_passable(folder)
        users, config = folder / "users.txt", folder / "pgbouncer.ini"
        users.write_text(f'"{address.username}" "{address.password}"\n')
        config.write_text(
            f"[databases]\n* = host={address.hostname} port={address.port}\n[pgbouncer]\nlisten_addr = {LOOPBACK}\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {users}\n"
            f"pool_mode = transaction\n{settings}\n"
        )
        argv = (find_program("pgbouncer", "pgbouncer"), str(config))
        pooler = Daemon(
            Command(name="pgbouncer", argv=argv, log=folder / "log", account=account),
            is_ready=lambda _: is_taken(port),
            ready_within_s=20.0,
        )
        pooler.start()
        started.append(pooler)
        return address._replace(netloc=f"{address.username}:{address.password}@{LOOPBACK}:{port}").geturl()

    yield start
    for pooler in started:
        pooler.kill()


async def test_a_pooler_that_refuses_the_settings_of_a_session_is_told_of(open_pooler: OpenPooler) -> None:
    with pytest.raises(BehindPooler, match=r"refuses a session's settings .*: give the process PostgreSQL's own"):
        await refuse_pooler(open_pooler(""), application="probe")


async def test_a_pooler_that_drops_the_settings_of_a_session_is_told_of(open_pooler: OpenPooler) -> None:
    dropped = "idle_in_transaction_session_timeout,transaction_timeout,lock_timeout,jit"

    with pytest.raises(BehindPooler, match="shares sessions and loses their settings"):
        await refuse_pooler(open_pooler(f"ignore_startup_parameters = {dropped}"), application="probe")


async def test_postgresql_itself_is_no_pooler(postgres_server: Server) -> None:
    await refuse_pooler(postgres_server.admin_dsn, application="probe")


async def test_a_database_that_is_away_is_for_others_to_find() -> None:
    (port,) = free_ports(1)

    await refuse_pooler(f"postgresql://nobody:secret@{LOOPBACK}:{port}/nothing", application="probe")


async def test_a_session_without_settings_of_its_own_is_bounded_by_the_database(postgres_server: Server) -> None:
    template = migrated_template(postgres_server, "probe", [servicekit_source()])
    async with template.database() as database:
        # The settings of a database are no part of what is cloned.
        sql = (servicekit_source().folder / "0002_session_bounds.sql").read_text()
        owner = await asyncpg.connect(database.dsn_owner)
        await owner.execute(sql)
        await owner.close()
        somebody = await asyncpg.connect(database.dsn_app)
        shown = {name: await somebody.fetchval(f"show {name}") for name in BOUNDS}
        await somebody.close()

    assert shown == {name: SESSION_SETTINGS[name] for name in BOUNDS}
