"""Versions of releases, as each side of the wire reads them: both must accept, refuse and order the same.

The sides do not import each other, so each has its own parser; what one of them signed or chose, the other must
understand in the same way.
"""

import itertools
from collections.abc import Callable

import pytest

import agentd.updater.versions
import controlplane.core.rollouts.drafting
import controlplane.core.versions

Parse = Callable[[str], tuple[int, int, int, str, int]]
PARSERS: list[Parse] = [agentd.updater.versions.parse, controlplane.core.versions.parse]

# From the oldest to the newest; what stands in one row is the same version.
ORDERED = [
    ("0.0.0a0", "0.0.0a00", "00.0.0a0"),
    ("0.0.0",),
    ("0.0.1a1",),
    ("0.0.1",),
    ("0.0.9",),
    ("0.0.10",),
    ("0.1.0a1", "0.1.0a01"),
    ("0.1.0a2",),
    ("0.1.0a10", "0.1.0a010"),
    ("0.1.0b1",),
    ("0.1.0b9",),
    ("0.1.0b10",),
    ("0.1.0rc1", "0.1.0rc001"),
    ("0.1.0rc2",),
    ("0.1.0rc10",),
    ("0.1.0", "0.01.0", "000000.1.0"),
    ("0.1.1rc1",),
    ("0.1.1",),
    ("0.2.0",),
    ("0.10.0a1",),
    ("0.10.0",),
    ("0.999999.999999",),
    ("1.0.0a0",),
    ("1.0.0rc999999",),
    ("1.0.0", "01.00.00"),
    ("2.0.0",),
    ("9.9.9",),
    ("10.0.0",),
    ("999999.0.0",),
    ("999999.999999.999999rc999999",),
    ("999999.999999.999999",),
]

REFUSED = [
    "",
    " ",
    ".",
    "..",
    "0",
    "0.1",
    "0.1.",
    "0.1.0.",
    "0.1.0.0",
    ".1.0",
    "0..0",
    "-1.0.0",
    "+1.0.0",
    "0.-1.0",
    "0x1.0.0",
    "1e1.0.0",
    "1_0.0.0",
    "1,0,0",
    "v0.1.0",
    "V0.1.0",
    "0.1.0a",
    "0.1.0rc",
    "0.1.0c1",
    "0.1.0RC1",
    "0.1.0A1",
    "0.1.0-rc1",
    "0.1.0.rc1",
    "0.1.0rc.1",
    "0.1.0rc-1",
    "0.1.0rc1b1",
    "0.1.0z1",
    "0.1.0z",
    "0.1.0.dev1",
    "0.1.0.post1",
    "0.1.0+local",
    "0.1.0-1",
    "1!0.1.0",
    "latest",
    "0.1.x",
    "0.1.*",
    ">=0.1.0",
    " 0.1.0",
    "0.1.0 ",
    "0.1.0\n",
    "0.1.0\r\n",
    "\t0.1.0",
    "0. 1.0",
    "0.1.0\x00",
    "0.1.0/../..",
    "0.1.0;",
    # Digits, and full stops, of other scripts.
    "\u0660.\u0661.\u0660",
    "0.\uff11.0",
    "0.1.\u00b2",
    "0\uff0e1\uff0e0",
    "0.1.0rc\u0967",
    # A letter that only looks like a.
    "0.1.0\u04301",
    # Seven digits.
    "1000000.0.0",
    "0.1000000.0",
    "0.0.1000000",
    "0000001.0.0",
    "0.1.0rc1000000",
    "9" * 5000 + ".0.0",
]


@pytest.mark.parametrize("parse", PARSERS)
def test_every_side_has_the_same_order(parse: Parse) -> None:
    for row in ORDERED:
        assert len({parse(each) for each in row}) == 1, row
    for older, newer in itertools.pairwise(ORDERED):
        assert parse(older[0]) < parse(newer[0]), (older, newer)


@pytest.mark.parametrize("text", [each for row in ORDERED for each in row])
def test_every_side_understands_the_same(text: str) -> None:
    assert len({parse(text) for parse in PARSERS}) == 1
    assert controlplane.core.rollouts.drafting.parse_version(text) == PARSERS[0](text)


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_every_side_refuses_the_same(text: str) -> None:
    said = set()
    for parse in PARSERS:
        with pytest.raises(ValueError, match=r"is not a version: write MAJOR\.MINOR\.PATCH") as refusal:
            parse(text)
        said.add(str(refusal.value))
    # Told in a length that fits a line, whatever was given.
    assert len(said) == 1 and len(said.pop()) < 300
    assert controlplane.core.rollouts.drafting.parse_version(text) is None
