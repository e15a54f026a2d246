"""What can go wrong, as plain data: a plan is a list of faults with a time, a kind, a terminal and numbers.

Swarm testing: each seed draws which kinds are on at all, so that rare combinations come together and no fault hides
another. A plan can be cut to any part of itself and replayed; `tests.simulation.chaos` carries it out.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from tests.simulation.store import SEAMS

Parameters = dict[str, Any]


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong `at_s` seconds after the run began. `number` is its place in the whole plan."""

    number: int
    at_s: float
    kind: str
    target: int
    """Which terminal, or which line; kinds that strike the host or the whole campus ignore it."""
    parameters: Parameters

    def __str__(self) -> str:
        values = " ".join(
            f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in self.parameters.items()
        )
        return f"#{self.number} at {self.at_s:.1f} s: {self.kind} terminal {self.target} {values}"


def _lasting(low: float, high: float, **more: Callable[[Random], Any]) -> Callable[[Random], Parameters]:
    """Parameters of a fault that ends by itself after `low`..`high` seconds, most of them soon."""

    def draw(rng: Random) -> Parameters:
        for_s = low + (high - low) * rng.random() ** 2
        return {"for_s": for_s, **{name: value(rng) for name, value in more.items()}}

    return draw


def _of(**more: Callable[[Random], Any]) -> Callable[[Random], Parameters]:
    return lambda rng: {name: value(rng) for name, value in more.items()}


def _restart_s(rng: Random) -> float:
    return rng.choice((0.2, 1.0, 5.0, 20.0)) * (0.5 + rng.random())


def _steps(rng: Random) -> int:
    return rng.randrange(1, rng.choice((4, 30, 200)))


def _jump_s(rng: Random) -> float:
    return rng.choice((-1, 1)) * rng.choice((1.0, 60.0, 3_600.0, 86_400.0)) * (0.5 + rng.random())


def _years_s(rng: Random) -> float:
    return rng.choice((-1, 1)) * rng.choice((60.0, 86_400.0, 31_557_600.0 * 5)) * (0.5 + rng.random())


def _chance(low: float, high: float) -> Callable[[Random], float]:
    return lambda rng: low + (high - low) * rng.random() ** 2


KINDS: Final[dict[str, Callable[[Random], Parameters]]] = {
    # the network (N1-N6)
    "lag": _lasting(2, 40, latency_s=_chance(0.05, 3.5)),
    "lose": _lasting(2, 40, chance=_chance(0.02, 0.7)),
    "double": _lasting(2, 40, chance=_chance(0.02, 0.7)),
    "corrupt": _lasting(2, 40, chance=_chance(0.02, 0.7)),
    "slice": _lasting(5, 60, chance=_chance(0.2, 1.0)),
    "ghost": _lasting(10, 60, chance=_chance(0.3, 1.0)),
    "stall_up": _lasting(0.5, 30),
    "stall_down": _lasting(0.5, 30),
    "stall": _lasting(0.5, 30),
    "reset": _of(),
    "half_open": _of(),
    "cut": _lasting(0.5, 60),
    "refuse": _lasting(0.5, 30),
    "swizzle": _lasting(2, 25, share=_chance(0.2, 1.0)),
    "site": _lasting(1, 40),
    "crowd": _lasting(2, 20, connections=lambda rng: rng.randrange(1, 100)),
    "noise": _of(size=lambda rng: rng.randrange(1, 3_000)),
    # the host (S1, S2, D1-D3, D5, C1)
    "kill": _of(steps=_steps, restart_s=_restart_s),
    "power": _of(steps=_steps, restart_s=_restart_s),
    "kill_at": _of(seam=lambda rng: rng.choice(SEAMS), restart_s=_restart_s),
    "stop": _of(restart_s=_restart_s),
    "full": _lasting(1, 40),
    "sync": _of(where=lambda rng: rng.choice(("before", "after")), restart_s=_restart_s),
    "slow": _lasting(2, 30, slow_s=_chance(0.02, 4.0)),
    "pause": _lasting(0.5, 20),
    "restore": _of(age_s=lambda rng: rng.choice((5.0, 30.0, 120.0)) * (0.5 + rng.random()), restart_s=_restart_s),
    "host_clock": _of(by_s=_jump_s),
    # the terminals (T1-T4, C2)
    "terminal_power": _of(steps=_steps, off_s=_restart_s),
    "terminal_write": _of(where=lambda rng: rng.choice(("before", "after")), off_s=_restart_s),
    "terminal_clock": _of(by_s=_years_s),
    "rollback": _of(off_s=_restart_s),
    "clone": _lasting(10, 60),
    "copies": _of(count=lambda rng: rng.choice((1, 3, 30))),
    "reuse": _of(count=lambda rng: rng.choice((1, 3))),
}
"""Every kind of fault, and how its numbers are drawn."""

RARE: Final = frozenset({"rollback", "clone"})
"""Kinds after which less is promised: in few seeds, so that most are judged by the strict rules."""
FOR_ALL: Final = frozenset(
    {"site", "swizzle", "kill", "power", "kill_at", "stop", "full", "sync", "slow", "pause", "restore"}
)
"""Kinds that strike everybody: a third as often as the others, for where nobody can sell nothing is learnt."""
MOST: Final = {"restore": 2}
"""How often a kind strikes at most in one run: more would leave nothing of it."""


def draw_plan(rng: Random, terminals: int, seconds: float) -> list[Fault]:
    """A seed's faults, in the order of their times."""
    share = rng.choice((0.1, 0.25, 0.5, 0.9))
    kinds = [kind for kind in KINDS if rng.random() < (0.2 * share if kind in RARE else share)]
    if not kinds or rng.random() < 0.02:
        return []  # now and then a day without faults: then nothing may be reversed at all
    weights = [1 if kind in FOR_ALL else 3 for kind in kinds]
    pause_s = rng.choice((2.0, 8.0, 25.0))
    faults: list[tuple[float, str, int, Parameters]] = []
    at_s = pause_s * rng.expovariate(1)
    while at_s < seconds:
        [kind] = rng.choices(kinds, weights)
        so_far = sum(fault[1] == kind for fault in faults)
        if so_far < MOST.get(kind, len(faults) + 1):
            faults.append((at_s, kind, rng.randrange(terminals), KINDS[kind](rng)))
        at_s += pause_s * rng.expovariate(1)
    return [Fault(number, *fault) for number, fault in enumerate(faults)]
