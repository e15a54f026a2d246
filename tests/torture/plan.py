"""How many crash points and faults each scenario gets, and the work of one scenario from its share of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Final, NamedTuple

from tests.torture.damage import WITH_DICE, Damage, damages
from tests.torture.engine import FAULTS, LASTING, Torturer, Unplayable, Violation, at_work, crash_plan
from tests.torture.scenarios import SCENARIOS, Scenario

SECOND_SHARE: Final = 0.5
"""Of the crash points, those in a recovery from an earlier crash."""
FAULTS_PER_POINT: Final = 0.05
"""A life in which an operation fails takes the time of twenty crash points."""
RECOVERY_SHARE: Final = 0.3
"""Of the faults, those in a recovery."""
RECOVERY_OPERATIONS: Final = 40
"""No recovery of a small scenario does more."""

Fault = tuple[str, str, int]


class Share(NamedTuple):
    """What is to be done with one scenario."""

    name: str
    seed: int
    crashes: int
    second_crashes: int
    faults: int


class Result(NamedTuple):
    """What was done with one scenario, and found."""

    name: str
    tally: Counter[str]
    violations: list[Violation]
    cpu_s: float


def shares(points: int, seed: int, names: list[str]) -> list[Share]:
    """Crash points in proportion to what there is to crash, largest share first."""
    torturer = Torturer()
    places = {}
    try:
        for name in names:
            places[name] = 1
            with suppress(Unplayable), at_work(SCENARIOS[name]):
                places[name] = len(torturer.recording(SCENARIOS[name]).trace) + 1
    finally:
        torturer.close()
    whole = sum(places.values())
    found = []
    for name, count in sorted(places.items(), key=lambda item: -item[1]):
        mine = max(1, round(points * count / whole))
        second = round(mine * SECOND_SHARE)
        found.append(Share(name, seed, mine - second, second, max(1, round(mine * FAULTS_PER_POINT))))
    return found


def torture(share: Share) -> Result:
    """All of one scenario's share."""
    started_s = time.process_time()
    scenario = SCENARIOS[share.name]
    torturer = Torturer()
    try:
        with at_work(scenario):
            places = len(torturer.recording(scenario).trace) + 1
            torturer.crashes(scenario, crash_plan(share.crashes, places, share.seed))
            _crash_twice(torturer, scenario, share, places)
            if not scenario.sick:
                _fail(torturer, scenario, share, places)
    except Unplayable as error:
        torturer.violations.append(Violation(f"{share.name}:0:kept.0", str(error)))
    finally:
        torturer.close()
    return Result(share.name, torturer.tally, torturer.violations, time.process_time() - started_s)


def _first_crashes(share: Share, places: int) -> Iterator[tuple[int, Damage]]:
    """Where the first crash happens: every place in turn, half of the times a kill, which keeps what was not synced."""
    dice = Random(f"first crash {share.name} {share.seed}")
    number = 0
    while True:
        for at in dice.sample(range(places), places):
            number += 1
            yield at, Damage("kept") if number % 2 else Damage(dice.choice(WITH_DICE), dice.randrange(1_000_000))


def _crash_twice(torturer: Torturer, scenario: Scenario, share: Share, places: int) -> None:
    end = torturer.tally["crash_points"] + share.second_crashes
    for at, damage in _first_crashes(share, places):
        if torturer.tally["crash_points"] >= end:
            break
        before = torturer.tally["crash_points"]
        torturer.second_crashes(scenario, at, damage, lambda second_at, at=at: damages(1, at, first=second_at + at))  # type: ignore[misc]
        if torturer.tally["crash_points"] == before:
            break  # it cannot even start again, and has been noted


def _fail(torturer: Torturer, scenario: Scenario, share: Share, places: int) -> None:
    dice = Random(f"faults {share.name} {share.seed}")
    done = Counter(operation[0] for operation in torturer.recording(scenario).trace)
    done[""], done["folder"] = sum(done.values()), done["sync_folder"]
    everything = [
        (kind, lasting, number)
        for kind, how in FAULTS.items()
        for lasting in LASTING
        for number in range(1, done[how.only] + 1)
    ]
    in_recovery = round(share.faults * RECOVERY_SHARE)
    wanted = min(share.faults - in_recovery, len(everything))
    for kind, lasting, number in dice.sample(everything, wanted):
        torturer.fault(scenario, kind, lasting, number, _after_fault(dice))
    firsts = _first_crashes(share, places)
    for _ in range(in_recovery):
        at, damage = next(firsts)
        kind, lasting, number = dice.choice([*FAULTS]), dice.choice([*LASTING]), dice.randint(1, RECOVERY_OPERATIONS)
        torturer.fault_in_recovery(scenario, at, damage, kind, lasting, number, _after_fault(dice))


def _after_fault(dice: Random) -> Damage:
    return Damage("lost") if dice.random() < 0.5 else Damage(dice.choice(WITH_DICE), dice.randrange(1_000_000))


def replay(point: str) -> Result:
    """One point again, as a violation names it. ValueError if it is none."""
    started_s = time.process_time()
    name, _, rest = point.partition(" ")[0].partition(":")
    if name not in SCENARIOS:
        raise ValueError(f"point: expected a scenario and a place in it, like single-sale:7:lost.0, got {point!r}")
    scenario = SCENARIOS[name]
    first, _, second = rest.partition("+")
    torturer = Torturer()
    try:
        with at_work(scenario):
            if first.startswith("!"):
                torturer.fault(scenario, *_fault(first), Damage.parse(first.partition(":")[2]))
            elif second.startswith("!"):
                crash = Damage.parse(second.partition(":")[2])
                torturer.fault_in_recovery(scenario, *_crash(first), *_fault(second), crash)
            elif second:
                second_at, damage = _crash(second)
                torturer.second_crashes(scenario, *_crash(first), lambda at: [damage] if at == second_at else [])
            else:
                torturer.crash(scenario, *_crash(first))
    except Unplayable as error:
        torturer.violations.append(Violation(point, str(error)))
    finally:
        torturer.close()
    return Result(name, torturer.tally, torturer.violations, time.process_time() - started_s)


def _crash(text: str) -> tuple[int, Damage]:
    at, _, damage = text.partition(":")
    return int(at), Damage.parse(damage)


def _fault(text: str) -> Fault:
    kind, lasting, number = text[1:].partition(":")[0].split(".")
    if kind not in FAULTS or lasting not in LASTING:
        raise ValueError(f"fault: expected one of {', '.join(FAULTS)}, once or sticky, got {text!r}")
    return kind, lasting, int(number)
