"""Optional filters: what is given stands in the statement, and nothing else does."""

from dataclasses import dataclass

from servicekit.conditions import where


@dataclass(frozen=True, kw_only=True)
class Wanted:
    colour: str | None = None
    size: int | None = None


def test_a_filter_without_fields_leaves_what_is_always_asked() -> None:
    conditions = where(Wanted(), tenant_id=7)

    assert (str(conditions), conditions.values) == ("where tenant_id = $1", [7])


def test_every_field_that_is_given_is_a_condition() -> None:
    conditions = where(Wanted(colour="red", size=0), prefix="t.", tenant_id=7)

    assert str(conditions) == "where t.tenant_id = $1 and t.colour = $2 and t.size = $3"
    assert conditions.values == [7, "red", 0]


def test_a_position_is_compared_as_a_whole() -> None:
    conditions = where(Wanted(size=1), prefix="t.", tenant_id=7)

    conditions.before(("at", "id"), (5, 6))
    limit = conditions.value(50)

    assert str(conditions) == "where t.tenant_id = $1 and t.size = $2 and (t.at, t.id) < ($3, $4)"
    assert (limit, conditions.values) == ("$5", [7, 1, 5, 6, 50])


def test_the_end_of_the_list_is_no_condition() -> None:
    conditions = where(Wanted(), tenant_id=7)

    conditions.before(("id",), None)

    assert str(conditions) == "where tenant_id = $1"


def test_a_caller_for_every_owner_is_no_condition() -> None:
    conditions = where(Wanted(), tenant_id=7)

    conditions.owners(None)

    assert (str(conditions), conditions.values) == ("where tenant_id = $1", [7])


def test_owners_are_compared_after_a_row_is_found_unless_it_is_found_by_them() -> None:
    compared, sought = where(Wanted(), prefix="t.", tenant_id=7), where(Wanted(), tenant_id=7)

    compared.owners(("ann", "bob"))
    sought.owners(frozenset({"ann"}), is_sought=True)

    assert str(compared) == "where t.tenant_id = $1 and $2::text[] @> array[t.owner_id]"
    assert compared.values == [7, ["ann", "bob"]]
    assert str(sought) == "where tenant_id = $1 and owner_id = any ($2::text[])"


def test_who_acts_for_nobody_finds_nothing() -> None:
    conditions = where(Wanted(), tenant_id=7)

    conditions.owners((), conditions.value("ann"))

    assert (str(conditions), conditions.values) == ("where tenant_id = $1 and $3::text[] @> array[$2]", [7, "ann", []])
