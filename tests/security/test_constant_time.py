"""A9: secrets are compared in constant time: no `==` in the code that holds tags, cryptograms, keys and codes.

A rule over the source, as tests/test_tidy.py has them: a name that stands for a secret must not stand beside `==`, `!=`
or `in`; `protocol.security.same_bytes` is there for it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("protocol", "server")
ELSEWHERE = {
    "server/kek_files.py": "compares two files of the operator's own: nobody outside can give one of the two",
}

SECRET = re.compile(
    r"(^|_)(tag|mac|cryptogram|proof|root_key|kek|secret|password|pin|pin_block|enrol_code|unwrap|"
    r"wrapped_code|wrapped_key|challenge|new_key|next_key)$"
)
"""Names of values that somebody outside would like to guess."""


def parts(node: ast.expr) -> list[ast.expr]:
    """What is compared: the elements of `x in (a, b)`, or the thing itself."""
    return node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]


def last_name(node: ast.expr) -> str:
    """The last name an expression spells: `message.cryptogram` and `cryptogram(...)` are both a cryptogram."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    if isinstance(node, ast.Subscript):
        return last_name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr.lstrip("_")
    return node.id.lstrip("_") if isinstance(node, ast.Name) else ""


def plain_comparisons(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of every secret that is compared in time that depends on it."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        for position, operator in enumerate(node.ops):
            if isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                for side in (part for pair in sides[position : position + 2] for part in parts(pair)):
                    if SECRET.search(name := last_name(side)):
                        yield node.lineno, name


SOURCES = [
    path
    for place in PLACES
    for path in sorted((ROOT / place).rglob("*.py"))
    if str(path.relative_to(ROOT)) not in ELSEWHERE
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_secret_is_compared_byte_by_byte(path):
    """A9: how long a refusal takes must not tell how much of a guess was right."""
    found = list(plain_comparisons(path.read_text(encoding="utf-8")))
    assert not found, f"{path.relative_to(ROOT)}: compare with same_bytes, not with ==: {found}"


@pytest.mark.parametrize(
    "bad",
    [
        "if message.cryptogram == expected: pass",
        "ok = tag != other",
        "x = self._root_key == key",
        "y = given in (known.wrapped_code, b'')",
        "z = cryptogram(key, number) == told",
        "w = frame.body[:16] if frame.tag[0] == 3 else b''",
    ],
)
def test_the_rule_objects(bad):
    """A9: the rule sees what it is there for."""
    assert list(plain_comparisons(bad))


@pytest.mark.parametrize(
    "good",
    ["same_bytes(tag, other)", "if root_key is None: pass", "len(root_key) != 32", "code == '00'", "tag_size == 16"],
)
def test_the_rule_lets_pass(good):
    """A9: sizes, codes for people and None are no secrets."""
    assert not list(plain_comparisons(good))


def test_same_bytes_is_the_one_of_the_library(monkeypatch):
    """A9: the comparison is hmac.compare_digest, and so is KeyRing's."""
    seen = []

    def compare(left: bytes, right: bytes) -> bool:
        seen.append((left, right))
        return True

    monkeypatch.setattr("hmac.compare_digest", compare)
    from protocol.security import same_bytes
    from server.keys import KeyRing

    assert same_bytes(b"a", b"b")
    keys = KeyRing(bytes(32))
    assert keys.same(keys.wrap(bytes(16)), keys.wrap(bytes(16)))
    assert len(seen) == 2
