"""What services have in common: how each kind of process is joined and run, and the commands every service has."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from servicekit.migrations import MigrationSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as its processes name it: *name* is the Python package, *version* the build's."""

    name: str
    version: str

    @property
    def slug(self) -> str:
        """Its name where underscores are unusual: application names, client ids."""
        return self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Port:
    """Where a process listens, and the setting that moves it."""

    number: int
    setting: str


def own_migrations(package: str, module_file: str) -> MigrationSource:
    """Return the migrations and functions of *package*: beside its sources in a checkout, inside it once installed.

    *module_file* is the `__file__` of a module directly in the package.
    """
    beside_sources = Path(module_file).parents[2]
    root = beside_sources if (beside_sources / "migrations").is_dir() else resources.files(package)
    return MigrationSource(package, root / "migrations", root / "sql" / "functions")
