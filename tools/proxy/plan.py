"""A scripted scenario: which fault comes and goes when. A text or a list of steps, and a seed that repeats its chances.

    # A switch that dies slowly.
    seed 7
    at 0 s: latency delay_s=0.04 jitter_s=0.01
    at 3.0 s: narrow = bandwidth down bytes_per_s=2000
    at 5 s: reset probability=0.5
    at 8 s: remove narrow
    at 9 s: clear

Times count from the start of the scenario. A fault without a name of its own is called by its kind. `up` is from
terminal to host, `down` back; without either it is both. Empty lines and what follows a `#` say nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tools.proxy.toxics import KINDS, Direction, Toxic, toxic_from

TIME_MAX_S: Final = 86_400.0
STEPS_MAX: Final = 10_000
"""More than anybody writes; a plan is held in memory."""
EXPECTED_STEP: Final = "`at SECONDS s: FAULT [up|down] [field=value ...]`, `at ... : remove NAME` or `at ...: clear`"
STEP: Final = re.compile(r"at\s+(?P<time>\S+)\s*s\s*:\s*(?P<what>.*)\Z")
NAMED: Final = re.compile(r"(?P<name>\w+)\s+=\s+(?P<what>\S.*)\Z")


class PlanError(ValueError):
    """A plan that cannot be read; the text says the line, what was expected and what came."""


class Step(msgspec.Struct, frozen=True):
    """One change: `toxic` comes under this name; without one, what has the name goes; without a name, all go."""

    at_s: float
    name: str = ""
    toxic: Toxic | None = None


class Plan(msgspec.Struct, frozen=True):
    """Steps in order of time, and the seed of all chance in them."""

    steps: tuple[Step, ...]
    seed: int = 0

    @property
    def ends_s(self) -> float:
        """When the last step is taken."""
        return self.steps[-1].at_s if self.steps else 0.0


def plan_of(steps: Iterable[Step], seed: int = 0) -> Plan:
    """A plan from steps in any order; those of the same time keep theirs. PlanError for times that cannot be."""
    ordered = sorted(steps, key=lambda step: step.at_s)
    for step in ordered:
        if not 0 <= step.at_s <= TIME_MAX_S:
            raise PlanError(f"time: expected 0..{TIME_MAX_S:g} s, got {step.at_s}")
    return Plan(tuple(ordered), seed)


def parse_plan(text: str, name: str = "plan") -> Plan:
    """Read the text of a plan; PlanError says `name`, the line, what was expected and what came."""
    steps: list[Step] = []
    seed = 0
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        try:
            if said.split()[0] == "seed":
                seed = _seed(said)
                continue
            step = _step(said)
            if steps and step.at_s < steps[-1].at_s:
                raise ValueError(
                    f"expected a time of at least {steps[-1].at_s:g} s, got {step.at_s:g} s: steps in order"
                )
            if step.toxic is None and step.name and not any(step.name == before.name for before in steps):
                raise ValueError(f"remove: expected the name of a fault above, got {step.name!r}")
            if len(steps) >= STEPS_MAX:
                raise ValueError(f"expected at most {STEPS_MAX} steps, got more")
        except ValueError as error:
            raise PlanError(f"{name}: line {number}: {error}") from None
        steps.append(step)
    return Plan(tuple(steps), seed)


def _seed(said: str) -> int:
    words = said.split()
    if len(words) != 2 or not re.fullmatch(r"[0-9]{1,18}", words[1]):
        raise ValueError(f"expected `seed NUMBER`, got {said!r}")
    return int(words[1])


def _step(said: str) -> Step:
    found = STEP.match(said)
    if found is None or not found["what"]:
        raise ValueError(f"expected {EXPECTED_STEP}, got {said!r}")
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", found["time"]) or float(found["time"]) > TIME_MAX_S:
        raise ValueError(f"time: expected 0..{TIME_MAX_S:g} s, like `at 3.5 s`, got {found['time']!r}")
    at_s, what = float(found["time"]), found["what"]
    words = what.split()
    if words == ["clear"]:
        return Step(at_s)
    if words[0] == "remove":
        if len(words) != 2:
            raise ValueError(f"expected `remove NAME`, got {what!r}")
        return Step(at_s, words[1])
    named = NAMED.match(what)
    name, what = (named["name"], named["what"]) if named is not None else ("", what)
    toxic = _toxic(what.split())
    return Step(at_s, name or toxic.kind, toxic)


def _toxic(words: list[str]) -> Toxic:
    kind, rest = words[0], words[1:]
    if kind not in KINDS:
        close = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"expected a fault ({', '.join(KINDS)}), got {kind!r}{hint}")
    values: dict[str, Any] = {}
    if rest and rest[0] in tuple(Direction):
        values["direction"] = rest.pop(0)
    known = [field for field in KINDS[kind].__struct_fields__ if field != "direction"]
    for word in rest:
        field, equals, value = word.partition("=")
        if field not in known or not equals or not value:
            raise ValueError(f"{kind}: expected field=value with one of {', '.join(known)}, got {word!r}")
        if field in values:
            raise ValueError(f"{kind}: expected {field} once, got it twice")
        values[field] = value
    return toxic_from(kind, values)
