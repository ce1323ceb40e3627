"""What is asserted of the running containers."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
from tests.images import customer
from tests.images.base import name_of_base
from tests.images.composed import FILE, Composed, until
from tests.images.customer import Customer

from local_stack.services import SERVICES

Tell = Callable[[str], None]

MIB: Final = 1 << 20
LAYERS_MIB_MAX: Final = {"transaction-history": 280}
"""Of an image beside its base: statements are set by typst, with fonts."""
LAYERS_MIB_MAX_ELSE: Final = 140
DEPOSITS: Final = 200
KILLED_AFTER: Final = 50
TOLD_S_MAX: Final = 30.0
BACK_S_MAX: Final = 60.0
SCRAPED_S_MAX: Final = 60.0
DRAINED_S: Final = "30"
APIS: Final = tuple(each.name for service in SERVICES for each in service.processes if each.is_api)
KINDS: Final = tuple(each.name for service in SERVICES for each in service.processes)
NOT_RUN_HERE: Final = {"probe"}
RECEIVER: Final = f"{__name__.replace('.', '-')}-receiver"
WEBHOOK: Final = "http://127.0.0.1:9999/"
_RECEIVER: Final = """
import http.server
class Told(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers['content-length'])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(('127.0.0.1', 9999), Told).serve_forever()
"""


def hold(composed: Composed, tell: Tell) -> None:
    """Assert all of it, in an order in which nothing spoils what follows. Raises AssertionError, EngineError."""
    _images_say_what_they_are(composed)
    tell("every service's image has labels and a list of its packages, no installer of them, and keeps its size")
    _containers_are_confined(composed)
    tell("every container runs as its user, without rights, on a root that it cannot write")
    _two_instances_of_each_api(composed)
    client = _customer(composed)
    _a_command_reaches_history_and_webhook(composed, client)
    tell("a deposit through the gateway is in the history, and its webhook has come")
    _a_killed_instance_costs_nothing(composed, client)
    tell(f"{DEPOSITS} deposits while an instance is killed: none failed, and it is back")
    _prometheus_sees_all(composed)
    tell("Prometheus has figures of every process, of the engines and of the machine")
    _drained(composed)
    tell("SIGTERM ends each process with 0")


def _images_say_what_they_are(composed: Composed) -> None:
    podman = composed.podman
    base = int(podman.inspect(name_of_base())["Size"])
    for service in SERVICES:
        image = f"wallet-platform/{service.slug}"
        told = podman.inspect(image)
        labels = {name.rpartition(".")[2]: value for name, value in told["Labels"].items() if "opencontainers" in name}
        size_mib = (int(told["Size"]) - base) / MIB
        assert labels | {"title": service.slug, "version": "1.2.3", "revision": "abc", "source": "here"} == labels, (
            labels
        )
        assert size_mib <= LAYERS_MIB_MAX.get(service.slug, LAYERS_MIB_MAX_ELSE), f"{image}: {size_mib:.0f} MiB"
        look = "test -s sbom.cdx.json; for each in uv cc gcc cyclonedx-py; do ! command -v $each; done"
        podman.run("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-euc", look)


def _running(composed: Composed) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each running container with its service and what podman tells of it."""
    for name in composed.services:
        for container in composed.containers(name):
            told = composed.podman.inspect(container)
            if told["State"]["Running"]:
                yield name, container, told


def _containers_are_confined(composed: Composed) -> None:
    for name, container, told in _running(composed):
        lines = Path(f"/proc/{told['State']['Pid']}/status").read_text().splitlines()
        status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
        uid, gid = composed.services[name]["user"].split(":")
        assert set(status["Uid"]) == {uid}, (container, status["Uid"])
        assert {*status["Gid"], *status["Groups"]} == {gid}, (container, status["Gid"], status["Groups"])
        assert {int(status[each][0], 16) for each in ("CapEff", "CapPrm", "CapBnd")} == {0}, container
        assert status["NoNewPrivs"] == ["1"], container
        assert told["HostConfig"]["ReadonlyRootfs"] is True, container
        assert told["HostConfig"]["Memory"] > 0 < told["HostConfig"]["PidsLimit"], container
    write = f"try: open('/app/x', 'w')\nexcept OSError as e: raise SystemExit(e.errno != {errno.EROFS})"
    composed.podman.run("exec", composed.containers("wallet-api")[0], "python", "-c", write)


def _two_instances_of_each_api(composed: Composed) -> None:
    for name in APIS:
        containers = composed.containers(name)
        assert len(containers) == 2, containers


def _customer(composed: Composed) -> Customer:
    printed = composed.podman.run("exec", composed.containers("access-api")[0], *customer.BOOTSTRAP)
    client = Customer(f"http://127.0.0.1:{composed.settings['GATEWAY_PORT']}", customer.key_of(printed))
    client.wait_known()
    return client


def _a_command_reaches_history_and_webhook(composed: Composed, client: Customer) -> None:
    podman = composed.podman
    (worker,) = composed.containers("notifications-worker")
    podman.tried("rm", "--force", RECEIVER)
    podman.run(
        "run",
        "--detach",
        "--name",
        RECEIVER,
        "--network",
        f"container:{worker}",
        name_of_base(),
        "python",
        "-c",
        _RECEIVER,
    )
    try:
        client.have_told(WEBHOOK)
        wallet_id = client.open_wallet("anna")
        assert client.wait_visible(wallet_id, client.deposit(wallet_id)) == 1
        until(lambda: wallet_id in podman.run("logs", RECEIVER), within_s=TOLD_S_MAX, what="no webhook came")
    finally:
        podman.run("rm", "--force", RECEIVER)


def _a_killed_instance_costs_nothing(composed: Composed, client: Customer) -> None:
    victim = composed.containers("wallet-api")[0]
    before = composed.podman.inspect(victim)["State"]
    wallet_id = client.open_wallet("bert")
    position = ""
    for each in range(DEPOSITS):
        if each == KILLED_AFTER:
            os.kill(before["Pid"], signal.SIGKILL)
        position = client.deposit(wallet_id)
    assert client.wait_visible(wallet_id, position) == DEPOSITS

    def is_back() -> bool:
        now = composed.podman.inspect(victim)["State"]
        return bool(now["Running"]) and now["Pid"] != before["Pid"]

    until(is_back, within_s=BACK_S_MAX, what=f"{victim} was not started again")
    composed.wait_healthy(["wallet-api"])


def _prometheus_sees_all(composed: Composed) -> None:
    address = f"http://127.0.0.1:{composed.settings['PROMETHEUS_PORT']}/api/v1/query"
    engines = {"postgres-exporter", "node-exporter", "kafka"}
    wanted = {**dict.fromkeys({*KINDS, *engines}, 1), **dict.fromkeys(APIS, 2)}

    def ups() -> dict[str, int]:
        answer = httpx2.get(
            address, params={"query": "count by (process) (up == 1)"}, timeout=customer.ANSWER_S_MAX
        ).json()
        return {each["metric"]["process"]: int(each["value"][1]) for each in answer["data"]["result"]}

    until(lambda: ups() == wanted, within_s=SCRAPED_S_MAX, what=f"{FILE.name}'s Prometheus did not reach {wanted}")


def _drained(composed: Composed) -> None:
    containers = [container for name in KINDS for container in composed.containers(name)]
    composed.podman.run("stop", "--time", DRAINED_S, *containers, within_s=120)
    ended = {each: composed.podman.inspect(each)["State"]["ExitCode"] for each in containers}
    killed = {each: status for each, status in ended.items() if status != 0}
    assert not killed, f"{killed}; the first of them:\n{composed.logs(next(iter(killed)))}"
