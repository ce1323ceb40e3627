"""The whole stack: engines, databases, topics, migrations, processes; up in this order and down in reverse."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import asyncpg

from contracts.scopes import Kind
from contracts.topics import TOPICS
from engines import accounts, checkout, databases, kafka, postgres, topics
from engines.kafka import KafkaBroker
from engines.ports import LOOPBACK
from engines.postgres import PostgresServer
from engines.standby import PostgresStandby
from local_stack import beside, fronting, observing, state
from local_stack.config import Config
from local_stack.credentials import Credentials
from local_stack.errors import StackError
from local_stack.processes import Database, Surroundings, admits, environment, migration, process_units
from local_stack.services import ACCESS, Service, module
from local_stack.supervisor import Supervised, Supervisor, Unit, engine_unit, run_once, together
from local_stack.targets import Target, targets, targets_beside, write_targets

KNOWN_WITHIN_S = 60.0
KNOWN_POLL_S = 0.1
ENGINE_DRAIN_S = 60.0  # PostgreSQL writes a last checkpoint


class Stack:
    """One stack of one folder. Call `start`, then `stop` however `start` went."""

    def __init__(self, config: Config, on_change: Callable[[], None]) -> None:
        """Take what the environment describes and what is called whenever something changes."""
        self.config = config
        self.step = "starting"
        self._on_change = on_change
        self._engines = Supervisor([], self._changed)
        self._replicas = Supervisor([], self._changed)
        self._processes = Supervisor([], self._changed)
        self._gateway = Supervisor([], self._changed)
        self._observers = Supervisor([], self._changed)
        self._kafka = config.outside_broker or f"{LOOPBACK}:{config.kafka_port}"
        self._credentials = Credentials(config.state)
        self._databases: dict[str, Database] = {}
        self._outsiders: dict[str, str] = {}
        self._release = config.environment.get("RELEASE") or checkout.release()
        self._obeying = beside.Obeying(beside.folder(config.state))
        self._obedience: asyncio.Task[None] | None = None
        self._is_up = False

    @property
    def supervised(self) -> list[Supervised]:
        """Every process, engines first."""
        parts = (self._engines, self._replicas, self._processes, self._gateway, self._observers)
        return [each for part in parts for each in part.all.values()]

    async def start(self) -> None:
        """Bring everything up and write `stack.json`; StackError says what is in the way."""
        self.config.check_ports()
        beside.forget(self.config.state)
        if self.config.is_observed:
            self._take("finding what looks at it")
            await asyncio.to_thread(observing.find_programs, self.config)
        self._take("preparing PostgreSQL and Kafka")
        units, server = await asyncio.to_thread(self._prepare_engines)
        self._engines = Supervisor(units, self._changed)
        self._take("starting PostgreSQL and Kafka")
        await self._engines.start()
        self._take("databases, topics and migrations")
        databases_ready = (self._make_and_migrate(service, server) for service in self.config.services)
        await together(topics.ensure_topics(self._kafka, TOPICS), *databases_ready)
        if server is not None and self.config.postgres_replica_ports:
            self._take("copying PostgreSQL to its replicas")
            self._replicas = Supervisor(await asyncio.to_thread(self._copy_to_replicas, server), self._changed)
            await self._replicas.start()
        if ACCESS in self.config.services:
            self._take("making its identities known")
            await self._bootstrap_access()
        self._take("starting the processes")
        self._processes = Supervisor(process_units(self.config, self._surroundings, self._log), self._changed)
        await self._processes.start()
        if ACCESS in self.config.services:
            self._take("waiting until every API knows its identities")
            await self._until_known()
        if self.config.is_full:
            self._take("starting the gateway")
            self._gateway = Supervisor([fronting.gateway_unit(self.config, self._log)], self._changed)
            await self._gateway.start()
        if self.config.is_observed:
            self._take("starting what looks at it")
            await self._observe(server)
        self._is_up = True
        self._obedience = asyncio.create_task(self._obeying.obey(self._processes, self._tell_again))
        self._take("up")

    async def stop(self) -> None:
        """Drain and stop the processes, then the engines, and take `stack.json` away."""
        self._is_up = False
        state.description_file(self.config.state).unlink(missing_ok=True)
        if self._obedience is not None:
            self._obedience.cancel()
        self._take("draining the processes")
        await asyncio.to_thread(beside.end_all, self.config.state)
        await self._observers.stop()
        await self._gateway.stop()
        await self._processes.stop()
        self._take("stopping the engines")
        await self._replicas.stop()
        await self._engines.stop()
        self._take("stopped")

    def describe(self) -> state.Description:
        """Return what `stack.json` says."""
        others = {each.release: each for each in beside.running(self.config.state)}
        serving = others.get(beside.serving(self.config.state))
        urls = {service.name: self.config.service_url(service) for service in self.config.services}
        own = {name: url for name, url in urls.items() if url is not None}
        return state.Description(
            services=own if serving is None else serving.services,
            processes={
                **{name: (each.pid, each.unit.address) for name, each in self._at_work().items()},
                **{
                    f"{name}@{other.release}": (each.pid, each.url)
                    for other in others.values()
                    for name, each in other.processes.items()
                },
            },
            release=self._release if serving is None else serving.release,
            postgres={name: each.app for name, each in self._databases.items()},
            kafka=self._kafka,
            outsiders=self._outsiders,
            gateway=next(((each.pid, f"http://{each.unit.address}") for each in self._gateway.all.values()), None),
            observers={name: (each.pid, each.unit.address) for name, each in self._observers.all.items()},
        )

    def _at_work(self) -> dict[str, Supervised]:
        """Return the stack's own processes but for those that rest: a release beside it has taken over from them."""
        resting = beside.orders(beside.folder(self.config.state))
        return {name: each for name, each in self._processes.all.items() if name not in resting or each.pid is not None}

    def look_again(self) -> None:
        """Obey what is ordered now, and tell of the releases beside it anew."""
        self._obeying.look_again()

    def _tell_again(self) -> None:
        if self.config.is_observed:
            write_targets(observing.targets_folder(self.config), self._targets())
        self._notify()

    def _targets(self) -> list[Target]:
        resting = beside.orders(beside.folder(self.config.state))
        return [
            *(each for each in targets(self.config) if each.instance not in resting),
            *(each for other in beside.running(self.config.state) for each in targets_beside(other)),
        ]

    def _take(self, step: str) -> None:
        self.step = step
        self._notify()

    def _changed(self, _: Supervised) -> None:
        self._notify()

    def _notify(self) -> None:
        if self._is_up:
            state.write_private(state.description_file(self.config.state), self.describe().as_json())
        self._on_change()

    def _prepare_engines(self) -> tuple[list[Unit], PostgresServer | None]:
        units = []
        server = self._server() if self.config.needs_postgres else None
        if server is not None:
            server.prepare()
            units.append(_engine_unit(server))
        if self.config.outside_broker is None:
            broker = self._broker()
            broker.prepare()
            units.append(_engine_unit(broker))
        return units, server

    def _server(self) -> PostgresServer:
        account = accounts.unprivileged_account()
        return PostgresServer(
            folder=accounts.home_for(account, self.config.state) / "data" / "postgres",
            port=self.config.postgres_port,
            log=self._log("postgres"),
            binaries=postgres.find_binaries(account),
        )

    def _copy_to_replicas(self, server: PostgresServer) -> list[Unit]:
        """Copy all of *server* anew: what it has removed since the last time, a replica of then could not follow."""
        units = []
        for number, port in enumerate(self.config.postgres_replica_ports, start=1):
            name = f"postgres-replica-{number}"
            folder = server.folder.with_name(name)
            shutil.rmtree(folder, ignore_errors=True)
            replica = PostgresStandby(
                folder=folder, port=port, log=self._log(name), binaries=server.binaries, primary=server
            )
            replica.prepare()
            units.append(_engine_unit(replica, name=name))
        return units

    def _broker(self) -> KafkaBroker:
        return KafkaBroker(
            folder=self.config.state / "data" / "kafka",
            port=self.config.kafka_port,
            controller_port=self.config.kafka_controller_port,
            log=self._log("kafka"),
            runtime=kafka.find_runtime(),
            agent=observing.broker_agent(self.config),
        )

    def _log(self, name: str) -> Path:
        """Return the log of a process, the one of the stack before moved aside."""
        log = self.config.logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        return log

    async def _make_and_migrate(self, service: Service, server: PostgresServer | None) -> None:
        outside = self.config.outside_database(service)
        if outside is not None:
            owner = self._outside(
                service, service.owner_url_variable, "for the role that owns it, because migrations run as that role"
            )
            reader = self._outside(service, service.reader_url_variable, "for the role that its API reads as")
            self._databases[service.name] = Database(app=outside, reader=reader, owner=owner)
        else:
            assert server is not None, "a database of ours needs our server"
            await self._make_database(server, service)
        await run_once(migration(self.config, service, self._surroundings, self._log))

    def _outside(self, service: Service, variable: str, whose: str) -> str:
        address = self.config.environment.get(variable)
        if not address:
            raise StackError(f"{service.url_variable} names a database from outside: {variable} must name it {whose}")
        return address

    async def _make_database(self, server: PostgresServer, declared: Service) -> None:
        service = declared.name
        owner, app, reader = databases.service_roles(service)
        secrets = state.passwords(self.config.state, (owner, app, reader, *declared.outsiders))
        admin = await asyncpg.connect(server.admin_dsn)
        try:
            await databases.ensure_service_roles(admin, service, secrets)
            await databases.ensure_database(admin, service, service)
            for role in declared.outsiders:
                await databases.ensure_outsider(admin, role, secrets[role], [service])
        finally:
            await admin.close()
        replicas = [replace(server, port=port) for port in self.config.postgres_replica_ports]
        self._databases[service] = Database(
            app=server.dsn(service, app, secrets[app]),
            reader=server.dsn(service, reader, secrets[reader]),
            owner=server.dsn(service, owner, secrets[owner]),
            replicas=tuple(each.dsn(service, reader, secrets[reader]) for each in replicas),
        )
        self._outsiders |= {role: server.dsn(service, role, secrets[role]) for role in declared.outsiders}

    @property
    def _surroundings(self) -> Surroundings:
        return Surroundings(databases=self._databases, kafka=self._kafka, release=self._release)

    async def _bootstrap_access(self) -> None:
        """Have the service make the stack's tenant, issuer and first keys, and keep the keys that it shows."""
        self._credentials.prepare()
        with self._log("access-bootstrap").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *module("access", "bootstrap", "--file", str(self._credentials.plan)),
                env=environment(self.config, ACCESS, self._surroundings),
                cwd=checkout.ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
            printed, _ = await process.communicate()
        if process.returncode != 0:
            raise StackError(f"access bootstrap ended with {process.returncode}: see {log.name}")
        self._credentials.keep_keys(printed.decode())

    async def _until_known(self) -> None:
        """Wait until every API admits the stack's own key; raises StackError where one does not in time."""
        key = self._credentials.key(Kind.SERVICE)
        probes = [
            (instance.name, partial(admits, instance.port, service.probe, key))
            for service in self.config.services
            for instance in self.config.instances(service)
            if instance.kind.is_api and service.probe is not None
        ]
        try:
            async with asyncio.timeout(KNOWN_WITHIN_S):
                for _, is_known in probes:
                    while not await asyncio.to_thread(is_known):  # noqa: ASYNC110 - the event is in the API
                        await asyncio.sleep(KNOWN_POLL_S)
        except TimeoutError:
            raise StackError(f"no key was known everywhere after {KNOWN_WITHIN_S:.0f} s: see the APIs' logs") from None

    async def _observe(self, server: PostgresServer | None) -> None:
        write_targets(observing.targets_folder(self.config), list(targets(self.config)))
        await observing.configure(self.config, self._log)
        postgres = None if server is None else await self._make_observer(server)
        units = await asyncio.to_thread(
            observing.observer_units, self.config, self._log, postgres=postgres, credentials=self._credentials
        )
        self._observers = Supervisor(units, self._changed)
        await self._observers.start()

    async def _make_observer(self, server: PostgresServer) -> str:
        """Make the role that sees what the server does, and return where it reaches it."""
        password = state.passwords(self.config.state, [databases.OBSERVER])[databases.OBSERVER]
        ours = [each.name for each in self.config.services if self.config.outside_database(each) is None]
        admin = await asyncpg.connect(server.admin_dsn)
        try:
            await databases.ensure_outsider(admin, databases.OBSERVER, password, ours)
        finally:
            await admin.close()
        return f"{server.dsn('postgres', databases.OBSERVER, password)}?sslmode=disable"


def _engine_unit(engine: PostgresServer | KafkaBroker, *, name: str | None = None) -> Unit:
    # The question is about the start: what the log or the pid file says stays said.
    return engine_unit(engine, drain_s=ENGINE_DRAIN_S, name=name, is_watched=False)
