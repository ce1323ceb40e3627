"""The files are valid one by one, and the judges find what is planted; `make kubernetes` judges what is built."""

import copy
from collections.abc import Callable

import pytest
from tests.kubernetes import speaking
from tests.kubernetes.judging import judge
from tests.kubernetes.reading import FOLDER, Document, files_of, objects_in, read
from tests.kubernetes.validating import validate

BUILT_OF = [*sorted((FOLDER / "overlays").glob("*")), *sorted((FOLDER / "overlays").glob("*/migrate-*"))]


@pytest.fixture(scope="module")
def production() -> list[Document]:
    """Give the objects of production as their files say."""
    return read(FOLDER / "overlays" / "production")


@pytest.fixture
def documents(production: list[Document]) -> list[Document]:
    """Give them for a test to change."""
    return copy.deepcopy(production)


def test_every_file_is_valid_by_itself() -> None:
    files = sorted({file for folder in BUILT_OF for file in files_of(folder)})

    validated = validate(each for file in files for each in objects_in(file.read_text()))

    assert (validated.wrong, validated.left_out) == ([], set())
    assert validated.objects > len(files)


def test_nothing_is_wrong_with_production_as_its_files_say(documents: list[Document]) -> None:
    found = speaking.edges(documents)

    assert judge(documents) == []
    assert speaking.silent_by_default(documents)
    assert found == speaking.expected(speaking.components(documents), public_port=8080)


def test_a_field_that_there_is_not_is_found() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [], "portz": 1}}

    assert any("portz" in sentence for sentence in validate([wrong]).wrong)


def _pod(documents: list[Document]) -> Document:
    (found,) = (each for each in documents if each["kind"] == "Deployment" and each["metadata"]["name"] == "wallet-api")
    spec = found["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def _container(documents: list[Document]) -> Document:
    container = _pod(documents)["containers"][0]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        (lambda all_: _pod(all_)["securityContext"].pop("runAsNonRoot"), "may run as root"),
        (lambda all_: _pod(all_)["securityContext"].pop("seccompProfile"), "has no seccomp profile"),
        (lambda all_: _pod(all_).pop("automountServiceAccountToken"), "has a token of the cluster, or lacks one"),
        (lambda all_: _pod(all_).pop("enableServiceLinks"), "is given variables of the cluster's Services"),
        (lambda all_: _container(all_)["securityContext"].pop("allowPrivilegeEscalation"), "may gain privileges"),
        (lambda all_: _container(all_)["securityContext"].pop("readOnlyRootFilesystem"), "may write to its root"),
        (lambda all_: _container(all_)["securityContext"].pop("capabilities"), "keeps capabilities"),
        (lambda all_: _container(all_)["resources"].pop("limits"), "has no limits of cpu and memory"),
        (lambda all_: _pod(all_)["volumes"][0]["emptyDir"].clear(), "may fill tmp"),
        (lambda all_: _container(all_).pop("readinessProbe"), "has no readinessProbe at a port of its own"),
        (lambda all_: _pod(all_).update(terminationGracePeriodSeconds=10), "is killed before it has ended its work"),
        (lambda all_: _container(all_).update(image="wallet:latest"), "has the image wallet:latest"),
        (lambda all_: _container(all_).update(image="registry:5000/wallet"), "has the image registry:5000/wallet"),
        (lambda all_: _container(all_)["env"].append({"name": "A_KEY", "value": "1"}), "has A_KEY in the open"),
        (lambda all_: _pod(all_)["volumes"].append({"name": "h", "hostPath": {}}), "reaches into its node"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_planted_in_a_pod_is_found(
    plant: Callable[[list[Document]], object], sentence: str, documents: list[Document]
) -> None:
    plant(documents)

    assert judge(documents) == [f"Deployment wallet-api {sentence}"]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("PodDisruptionBudget", "wallet-api has no disruption budget"),
        ("HorizontalPodAutoscaler", "wallet-api is not scaled"),
    ],
)
def test_an_object_that_is_missing_is_found(kind: str, sentence: str, documents: list[Document]) -> None:
    left = [each for each in documents if (each["kind"], each["metadata"]["name"]) != (kind, "wallet-api")]

    assert judge(left) == [sentence]


def test_an_edge_more_and_an_edge_less_are_found(documents: list[Document]) -> None:
    needed = speaking.expected(speaking.components(documents), public_port=8080)
    policies = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "NetworkPolicy"}
    policies["apis-from-gateway"]["ingress"][0]["ports"][0]["port"] = 9999
    policies["workers-to-customers"]["podSelector"]["matchExpressions"][0]["values"].append("fraud-relay")

    found = speaking.edges(documents)

    assert ("gateway", "wallet-api", 8101) in needed - found
    assert found - needed == {("fraud-relay", "internet", 443), ("fraud-relay", "internet", 1024)}
