"""A batch: its members are the requests of single commands, each with the command's name and a key of its own."""

from functools import reduce
from operator import or_
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct, defstruct

from servicekit.access.admission import require
from servicekit.principal import Principal
from wallet.domain.commands import Command
from wallet.entrypoints.fields import KeyText, OwnerId
from wallet.entrypoints.slices import Catalog, CommandSlice

COMMANDS_MAX: Final = 1_000


class BatchMembers:
    """The members that a batch may have, derived from the catalog, and the request that has them."""

    def __init__(self, catalog: Catalog) -> None:
        self._slices = {_member(each): each for each in catalog.slices}
        any_member: Any = reduce(or_, self._slices)
        self.request: type[Struct] = defstruct(
            "BatchRequest",
            [
                ("mode", Literal["atomic", "independent"]),
                ("commands", Annotated[list[any_member], Meta(min_length=1, max_length=COMMANDS_MAX)]),
            ],
            namespace={"__doc__": _DOC},
            forbid_unknown_fields=True,
            kw_only=True,
        )

    def command(self, member: Any, index: int, principal: Principal) -> Command:
        """Return the command of the batch's member *index*.

        Raises NotAllowed if *principal* lacks the scope of the single command, and as `CommandSlice.to_command` does.
        """
        made_of = self._slices[type(member)]
        require(principal, made_of.access.scope, index=index)
        if made_of.also_needs is not None:
            require(principal, made_of.also_needs(member), index=index)
        kind = made_of.path_kind
        path_id: UUID | str | None = None if kind is None else getattr(member, f"{kind}_id")
        return made_of.to_command(member, path_id, f"/commands/{index}")


_DOC: Final = "1 to 1,000 commands: `atomic`, all or none, or `independent`, each for itself."


def _member(of: CommandSlice) -> type[Struct]:
    """Return the struct of a batch's member: the single request, what its path names, and a key."""
    kind = of.path_kind
    fields: list[Any] = [] if kind is None else [(f"{kind}_id", OwnerId if of.is_path_text else UUID)]
    return defstruct(
        f"Batch{of.request.__name__.removesuffix('Request')}",
        [*fields, ("idempotency_key", KeyText | None, None)],
        bases=(of.request,),
        namespace={"__doc__": f"`{of.command.kind}` in a batch."},
        tag_field="type",
        tag=of.command.kind,
    )
