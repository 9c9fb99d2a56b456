"""How many migrations may be under way: in all, per datastore, within one pass; who uses a limit up."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.steps.admission import Admission, Full, Limits, Reached, UnderWay, full, reached

LAKE_TO_SHOP = UnderWay("mig_1", "one", "lake", "shop")
SHOP_TO_VAULT = UnderWay("mig_2", "two", "shop", "vault")
LAKE_TO_LAKE = UnderWay("mig_3", "three", "lake", "lake")


def test_no_limit_holds_nothing() -> None:
    assert not Limits(steps={"lake": 1}).on_migrations
    assert full(Limits(), [LAKE_TO_SHOP]) == Full(False, frozenset())
    assert reached(Limits(), [LAKE_TO_SHOP], SHOP_TO_VAULT) == []


def test_a_datastore_counts_what_reads_from_it_and_what_writes_to_it_once_each() -> None:
    limits = Limits(migrations={"lake": 2, "shop": 2, "vault": 2})
    assert limits.on_migrations
    assert full(limits, [LAKE_TO_SHOP, LAKE_TO_LAKE]).datastores == {"lake"}
    assert full(limits, [LAKE_TO_SHOP, SHOP_TO_VAULT]).datastores == {"shop"}
    assert full(limits, [LAKE_TO_LAKE]).datastores == frozenset()


def test_what_is_held_is_what_touches_a_full_place() -> None:
    held = Full(False, frozenset({"lake"}))
    assert held.holds("lake", "shop") and held.holds("shop", "lake") and not held.holds("shop", "vault")
    assert Full(True, frozenset()).holds("shop", "vault")


def test_whoever_waits_is_told_which_limit_and_who_uses_it_up() -> None:
    limits = Limits(migrations={"lake": 2, "shop": 1, "vault": 1}, migrations_in_all=3)
    under_way = [LAKE_TO_SHOP, SHOP_TO_VAULT, LAKE_TO_LAKE]
    assert reached(limits, under_way, UnderWay("mig_9", "nine", "lake", "vault")) == [
        Reached("", 3, ("one", "two", "three")),
        Reached("lake", 2, ("one", "three")),
        Reached("vault", 1, ("two",)),
    ]


def test_migrations_begin_one_after_the_other_until_a_limit_is_reached() -> None:
    listener = Admission(Limits(migrations={"lake": 1}, migrations_in_all=2), [SHOP_TO_VAULT])
    assert listener.begin(LAKE_TO_SHOP) and listener.is_under_way("mig_1") and listener.is_under_way("mig_2")
    assert not listener.begin(LAKE_TO_LAKE) and not listener.is_under_way("mig_3")
    assert listener.full == Full(True, frozenset({"lake"}))


NAMES = st.sampled_from(["lake", "shop", "vault"])


@given(
    ends=st.lists(st.tuples(NAMES, NAMES), max_size=12),
    at=st.dictionaries(NAMES, st.integers(1, 3)),
    in_all=st.none() | st.integers(1, 4),
)
def test_whatever_asks_no_limit_is_passed_and_nothing_waits_without_one(
    ends: list[tuple[str, str]], at: dict[str, int], in_all: int | None
) -> None:
    limits = Limits(migrations=at, migrations_in_all=in_all)
    listener = Admission(limits, [])
    begun: list[UnderWay] = []
    for number, (source, destination) in enumerate(ends):
        asks = UnderWay(f"mig_{number}", f"m{number}", source, destination)
        if listener.begin(asks):
            begun.append(asks)
        else:
            assert reached(limits, begun, asks)
    assert in_all is None or len(begun) <= in_all
    assert all(sum(each.touches(name) for each in begun) <= most for name, most in at.items())
