"""Whether objects are what the schemas of Kubernetes allow, in the oldest and the newest version that has some."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import kubernetes_validate
from kubernetes_validate import utils
from tests.kubernetes.reading import Document


@dataclass(slots=True)
class Validated:
    """What came of a validation: *wrong* are sentences, *left_out* kinds that there is no schema of."""

    objects: int = 0
    wrong: list[str] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)


def versions() -> tuple[str, str]:
    """Return the oldest and the newest version of Kubernetes that there are schemas of."""
    known = utils.all_versions()
    return utils.major_minor(known[0]), utils.major_minor(known[-1])


def validate(documents: Iterable[Document]) -> Validated:
    """Compare *documents* with the schemas; a field that they do not know is wrong."""
    result = Validated()
    for document in documents:
        result.objects += 1
        for version in versions():
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.SchemaNotFoundError:
                result.left_out.add(f"{document['kind']} of {document['apiVersion']}")
            except kubernetes_validate.ValidationError as error:
                where = f"{document['kind']} {document['metadata']['name']}: {'/'.join(map(str, error.path))}"
                result.wrong.append(f"{where}: {error.message} (Kubernetes {version})")
    return result
