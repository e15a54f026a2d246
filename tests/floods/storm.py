"""Thousands of terminals that lose their host at the same moment and come back to it.

A process that holds all of them: reads a Storm, says "ready" when all are connected, and after a line of "again" writes
when each was READY again. `keen` terminals try every KEEN_S; the others wait as real ones do, longer each time.
"""

from __future__ import annotations

import gc
import resource
import sys
from random import Random

import msgspec
import trio

from protocol.limits import RECONNECT_MAX_S, RECONNECT_MIN_S
from terminal_emulator.backoff import Backoff
from tests.floods.attackers import until_closed
from tests.floods.honest import Key, shake_hands
from tests.floods.lines import Address, open_from, source_of
from tests.floods.schedule import SharedClock

STORM_NET = 20
FIRST_AT_ONCE = 64
KEEN_S = 0.1
GIVE_UP_S = 120.0
HANDSHAKE_TIMEOUT_S = 5.0


class Storm(msgspec.Struct, frozen=True):
    """Who comes back to where. `sources`: how many addresses they come from."""

    address: Address
    keys: list[Key]
    keen: bool
    sources: int
    seed: int = 1


class Return(msgspec.Struct):
    """When each terminal was READY again (monotonic clock), and how often one had to try."""

    ready_s: list[float] = []
    tries: int = 0
    missing: int = 0


class Crowd:
    """All terminals of a storm."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.rng = Random(storm.seed)
        self.online = 0
        self.came: dict[int, float] = {}
        """When each terminal was READY; the last time, if it lost its session in between."""
        self.tries = 0
        self.counting = False
        self.changed = trio.Event()

    async def live(self, number: int, at_first: trio.Semaphore) -> None:
        """One terminal: connect, hold the session, come back when it ends."""
        backoff = Backoff(RECONNECT_MIN_S, RECONNECT_MAX_S, self.rng.random)
        async with at_first:
            stream = await self._try(number)
        while True:
            if stream is not None:
                backoff.reset()
                self.note(number, +1)
                await until_closed(stream)
                await trio.aclose_forcefully(stream)
                self.note(number, -1)
            await trio.sleep(KEEN_S * (0.5 + self.rng.random()) if self.storm.keen else backoff.next_s())
            stream = await self._try(number)

    def note(self, number: int, change: int) -> None:
        self.online += change
        if change > 0 and self.counting:
            self.came[number] = trio.current_time()
        if self.online in (0, len(self.storm.keys)):
            self.changed.set()
            self.changed = trio.Event()

    async def _try(self, number: int) -> trio.abc.Stream | None:
        """A session, or None."""
        self.tries += self.counting
        stream: trio.abc.Stream | None = None
        ready = False
        try:
            with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
                stream = await open_from(self.storm.address, source_of(STORM_NET, number % self.storm.sources))
                ready = await shake_hands(stream, self.storm.keys[number], self.rng)
        except OSError:
            return None
        finally:
            if stream is not None and not ready:
                await trio.aclose_forcefully(stream)
        return stream if ready else None

    async def until(self, online: int) -> None:
        while self.online != online:
            await self.changed.wait()

    async def run(self) -> Return:
        clock = SharedClock()
        at_first = trio.Semaphore(FIRST_AT_ONCE)
        everybody = len(self.storm.keys)
        async with trio.open_nursery() as nursery:
            for number in range(everybody):
                nursery.start_soon(self.live, number, at_first)
            await self.until(everybody)
            gc.collect()
            gc.freeze()
            self.counting = True
            print("ready", flush=True)
            await self.until(0)
            print("gone", flush=True)
            with trio.move_on_after(GIVE_UP_S):
                await self.until(everybody)
            nursery.cancel_scope.cancel()
        back = [clock.from_trio(came_s) for came_s in self.came.values()]
        return Return(back, self.tries, everybody - self.online)


def main() -> None:
    """The process."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    storm = msgspec.json.decode(sys.stdin.buffer.readline(), type=Storm)
    gc.set_threshold(50_000, 20, 50)

    async def work() -> Return:
        return await Crowd(storm).run()

    sys.stdout.buffer.write(msgspec.json.encode(trio.run(work)) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
