"""Kubernetes runs what the stack declares and what docker-compose.yml runs, with its variables, sizes and probes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.kubernetes.reading import FOLDER, Document, read, settings_of

from access.config import AccessOwnerSettings, AccessSettings
from engines import checkout
from fraud.config import FraudOwnerSettings, FraudSettings
from gateway.engine import FILES
from gateway.rendering import Behind, Tls
from local_stack.services import SERVICES, ProcessType, Service
from manifests.platform import KAFKA_SECRETS, PHASES
from notifications.config import NotificationsOwnerSettings, NotificationsSettings
from observability.rules import RULES
from servicekit.settings import ServiceSettings
from transaction_history.config import HistoryOwnerSettings, HistorySettings
from wallet.config import WalletOwnerSettings, WalletSettings

PROCESSES: Final = [(service, process) for service in SERVICES for process in service.processes]
PRODUCTION: Final = FOLDER / "overlays" / "production"
WITHOUT_RATES: Final = {"WALLET_RATES_URL", "WALLET_RATES_AGE_MAX_S"}
"""Compose has examples; whoever tries the platform on a cluster has no rates, so no quotes, until they name some."""
SETTINGS: Final[Mapping[str, tuple[type[ServiceSettings], type[ServiceSettings]]]] = {
    "access": (AccessSettings, AccessOwnerSettings),
    "wallet": (WalletSettings, WalletOwnerSettings),
    "transaction_history": (HistorySettings, HistoryOwnerSettings),
    "fraud": (FraudSettings, FraudOwnerSettings),
    "notifications": (NotificationsSettings, NotificationsOwnerSettings),
}
IN_SECRETS: Final = {
    "NOTIFICATIONS_SECRET_KEYS": "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "TRANSACTION_HISTORY_OBJECTS_OPTIONS": '{"region": "one"}',
}

each_process = pytest.mark.parametrize(
    ("service", "process"), PROCESSES, ids=[process.name for _, process in PROCESSES]
)
each_service = pytest.mark.parametrize("service", SERVICES, ids=[service.slug for service in SERVICES])


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], Document]:
    """Give every object of the base and of both Jobs, by kind and name."""
    folders = [FOLDER / "base", *(FOLDER / "migrate" / phase for phase in PHASES)]
    return {(each["kind"], each["metadata"]["name"]): each for folder in folders for each in read(folder)}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Give the services of docker-compose.yml."""
    services: dict[str, Any] = yaml.safe_load((checkout.ROOT / "docker-compose.yml").read_text())["services"]
    return services


def container_of(document: Document) -> Document:
    """Return the only container of *document*'s pods."""
    (container,) = document["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def variables_of(container: Document, settings: Mapping[str, Mapping[str, str]]) -> dict[str, str | None]:
    """Return the variables of *container*, None for what stands in a secret."""
    found: dict[str, str | None] = {}
    for source in container["envFrom"]:
        found.update(settings[source["configMapRef"]["name"]])
    found.update({each["name"]: each.get("value") for each in container["env"]})
    return found


def in_mebibytes(size: str) -> int:
    """Return how many there are in *size*, as compose or as Kubernetes writes it."""
    number, unit = size.removesuffix("i")[:-1], size.removesuffix("i")[-1].lower()
    return int(number) * {"m": 1, "g": 1024}[unit]


def test_there_is_a_deployment_of_each_process_and_of_the_gateway(objects: dict[tuple[str, str], Document]) -> None:
    deployments = {name for kind, name in objects if kind == "Deployment"}

    assert deployments == {process.name for _, process in PROCESSES} | {"gateway"}


@each_process
def test_a_process_is_run_as_it_is_in_compose(
    service: Service, process: ProcessType, objects: dict[tuple[str, str], Document], compose: dict[str, Any]
) -> None:
    container, there = container_of(objects["Deployment", process.name]), compose[process.name]

    assert container["args"] == there["command"] == list(process.argv[2:])
    assert container["image"].split(":")[0] == there["image"]
    assert [each["containerPort"] for each in container["ports"]] == [process.port]
    assert in_mebibytes(container["resources"]["limits"]["memory"]) == in_mebibytes(there["mem_limit"])
    assert container["resources"]["limits"]["cpu"] == str(there["cpus"])
    volumes = objects["Deployment", process.name]["spec"]["template"]["spec"]["volumes"]
    (temporary,) = (each["emptyDir"]["sizeLimit"] for each in volumes if each["name"] == "tmp")
    assert f"size={in_mebibytes(temporary)}" in there["tmpfs"][0].replace("1g", "1024m")
    for probe, path in (("startup", "live"), ("liveness", "live"), ("readiness", "ready")):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": f"/health/{path}", "port": "http"}
    assert service.slug == objects["Deployment", process.name]["metadata"]["labels"]["app.kubernetes.io/name"]


@each_process
@pytest.mark.parametrize("overlay", ["production", "development"])
def test_a_process_has_every_variable_that_compose_sets(
    service: Service,
    process: ProcessType,
    overlay: str,
    objects: dict[tuple[str, str], Document],
    compose: dict[str, Any],
) -> None:
    settings = settings_of(FOLDER / "overlays" / overlay)
    found = variables_of(container_of(objects["Deployment", process.name]), settings)

    missing = set(compose[process.name]["environment"]) - set(found)

    assert missing - (WITHOUT_RATES if overlay == "development" else set()) == set()
    assert found[process.port_variable] == str(process.port)
    # Outside development subscribers are told an address that they reach.
    assert {variable for variable, _ in service.own_links} <= set(found)


@each_service
@pytest.mark.parametrize("phase", PHASES)
def test_a_job_migrates_each_database(
    service: Service, phase: str, objects: dict[tuple[str, str], Document], compose: dict[str, Any]
) -> None:
    container = container_of(objects["Job", f"{service.slug}-migrate-{phase}"])
    there = compose[f"{service.slug}-migrate"]

    assert container["args"] == [*service.migrate[2:], "--phase", phase]
    assert there["command"] == [*service.migrate[2:], "--phase", "pre"]
    (owner,) = set(there["environment"]) - set(compose[f"{service.slug}-api"]["environment"])
    assert owner in {each["name"] for each in container["env"]}


@each_service
def test_the_product_starts_with_the_variables_of_production(
    service: Service, objects: dict[tuple[str, str], Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(PRODUCTION)
    names = [*(process.name for process in service.processes), f"{service.slug}-migrate-pre"]
    for name in names:
        kind = "Job" if name.endswith("pre") else "Deployment"
        for variable, value in variables_of(container_of(objects[kind, name]), settings).items():
            monkeypatch.setenv(variable, secret(variable) if value is None else value)

    for each in SETTINGS[service.name]:
        assert each().mode == "production"


def secret(variable: str) -> str:
    """Return what may stand in a Secret as *variable*."""
    if variable.endswith("DATABASE_URL"):
        return "postgresql://someone:xHk2vQ9sT4@postgres/some?sslmode=verify-full"
    return IN_SECRETS.get(variable, "0123456789abcdef0123456789abcdef")


def test_only_a_job_knows_an_owner(objects: dict[tuple[str, str], Document]) -> None:
    holders = {
        (kind, name)
        for (kind, name), document in objects.items()
        if kind in {"Deployment", "Job"}
        for variable in container_of(document)["env"]
        if "OWNER" in variable["name"]
    }

    assert {kind for kind, _ in holders} == {"Job"}


def test_the_development_overlay_has_every_secret(objects: dict[tuple[str, str], Document]) -> None:
    component = FOLDER / "overlays" / "development" / "settings" / "kustomization.yaml"
    made = {
        each["name"]: {literal.split("=", 1)[0] for literal in each["literals"]}
        for each in yaml.safe_load(component.read_text())["secretGenerator"]
    }
    wanted = [
        variable["valueFrom"]["secretKeyRef"]
        for (kind, _), document in objects.items()
        if kind in {"Deployment", "Job"}
        for variable in container_of(document)["env"]
        if "secretKeyRef" in variable.get("valueFrom", {})
    ]

    assert [each for each in wanted if each["key"] not in made[each["name"]] and not each.get("optional")] == []
    assert all(set(KAFKA_SECRETS) <= made[service.slug] for service in SERVICES)


def test_the_gateway_has_the_template_s_variables_and_files(
    objects: dict[tuple[str, str], Document], compose: dict[str, Any]
) -> None:
    container = container_of(objects["Deployment", "gateway"])
    found = {each["name"]: each.get("value") for each in container["env"]}

    assert container["image"] == compose["gateway"]["image"]
    assert container["args"] == compose["gateway"]["command"]
    for name, value in compose["gateway"]["environment"].items():
        here = str(found[name]).replace(".$(NAMESPACE).svc.cluster.local", "")
        assert here == str(value) or name == "GATEWAY_RESOLVER", name
    assert made_of(FILES) == {each.name for each in FILES.iterdir() if each.suffix in {".conf", ".template"}}


def test_the_gateway_speaks_tls_as_it_does_elsewhere() -> None:
    (patch, _) = yaml.safe_load_all((PRODUCTION / "gateway-tls.yaml").read_text())
    container = container_of(patch)
    (variable,) = container["env"]
    files = Path(container["volumeMounts"][0]["mountPath"])
    tls = Tls(port=container["ports"][0]["containerPort"], certificate=files / "tls.crt", key=files / "tls.key")

    elsewhere = Behind(port=8080, apis={}, tls=tls).variables(folder=files, files=files)

    assert variable["value"] == elsewhere[variable["name"]].replace("listen 127.0.0.1:", "listen ")


def test_prometheus_has_every_file_of_rules() -> None:
    named = made_of(checkout.ROOT / "deploy" / "observability")

    assert {each.name for each in RULES.glob("*.yml")} <= named


def made_of(folder: Path) -> set[str]:
    """Return the names of the files that the kustomization in *folder* makes ConfigMaps of."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    files = [file for each in kustomization["configMapGenerator"] for file in each["files"]]
    return {Path(file.split("=")[-1]).name for file in files}
