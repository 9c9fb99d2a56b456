"""Which agents may run which steps."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.hosts import Facts
from controlplane.core.model import Requirements
from controlplane.core.steps.placement import (
    class_of,
    datastores_in_use,
    fact_labels,
    from_text,
    lacks,
    matching,
    to_text,
)
from tests.kit.builders import an_agent

NAMES = st.text("abcdef-", min_size=1, max_size=8)
REQUIREMENTS = st.builds(
    Requirements,
    kind=NAMES,
    datastores=st.lists(NAMES, max_size=3).map(tuple),
    labels=st.dictionaries(NAMES, NAMES, max_size=3).map(lambda labels: tuple(labels.items())),
)


@given(REQUIREMENTS)
def test_requirements_survive_being_written(requirements: Requirements) -> None:
    read = from_text(to_text(requirements))
    assert read.kind == requirements.kind
    assert sorted(read.datastores) == sorted(requirements.datastores)
    assert dict(read.labels) == dict(requirements.labels)
    assert to_text(read) == to_text(requirements)


@given(REQUIREMENTS, REQUIREMENTS)
def test_equal_requirements_and_only_they_share_a_class(one: Requirements, other: Requirements) -> None:
    reordered = Requirements(one.kind, tuple(reversed(one.datastores)), tuple(reversed(one.labels)))
    assert class_of(reordered) == class_of(one)
    assert (class_of(one) == class_of(other)) == (to_text(one) == to_text(other))


def test_what_a_host_is_labels_it_where_it_can() -> None:
    facts = Facts(os="debian", os_version="12 (bookworm)", architecture="x86_64")
    assert fact_labels(facts) == {"host/os": "debian", "host/architecture": "x86_64"}
    assert fact_labels(Facts()) == {}


def test_an_agent_lacks_what_it_does_not_have_in_a_stable_order() -> None:
    agent = an_agent(
        kinds=frozenset({"load"}), datastores=frozenset({"lake"}), labels={"zone": "b", "disk": "ssd", "team": "air"}
    )
    requirements = Requirements("extract", ("lake", "shop"), (("disk", "ssd"), ("gpu", "yes"), ("zone", "a")))
    assert lacks(agent, requirements) == [
        "step kind extract",
        "datastore shop",
        "label gpu=yes",
        "label zone=a (it has zone=b)",
    ]


def test_an_agent_that_reaches_everything_lacks_no_datastore() -> None:
    assert lacks(an_agent(datastores=frozenset({"*"})), Requirements("load", ("lake", "shop"))) == []


def test_matching_names_the_classes_an_agent_can_run() -> None:
    classes = {
        "pc_2": Requirements("load"),
        "pc_1": Requirements("load", ("lake",)),
        "pc_3": Requirements("extract"),
        "pc_4": Requirements("load", (), (("zone", "a"),)),
    }
    assert matching(an_agent(kinds=frozenset({"load"}), datastores=frozenset({"lake"})), classes) == ["pc_1", "pc_2"]


def test_a_datastore_is_used_once_by_each_lease_that_touches_it() -> None:
    known = {
        "pc_1": Requirements("load", ("lake", "shop")),
        "pc_2": Requirements("extract", ("lake",)),
        "pc_3": Requirements("load", ("lake", "lake")),
    }
    assert datastores_in_use(["pc_1", "pc_2", "pc_2"], known) == {"lake": 3, "shop": 1}
    assert datastores_in_use(["pc_3"], known) == {"lake": 1}
    assert datastores_in_use([], known) == {}
