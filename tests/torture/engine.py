"""Ends programs at every operation of their disk and looks at what is left.

A life is run once and recorded; what a crash after N operations leaves is computed from the first N of them, for as
many damages as wanted, without running it again. Only lives in which an operation fails are run anew, since from there
on they go another way.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import apsw

from server.backup import BackupError
from server.folder import FolderError
from server.keys import KeyFault
from server.ledger import migrate
from server.ledger.store import StoreBroken, StoreError
from server.operations.desk import AdminError
from terminal_emulator.storage import StorageError
from tests.torture.damage import Damage, damages
from tests.torture.disk import Disk, contents_of, put
from tests.torture.files import Files, Operation
from tests.torture.host import HostLife
from tests.torture.scenarios import Scenario
from tests.torture.subjects import memory
from tests.torture.till import TillLife
from tests.torture.witness import Violated, Witness

ENDS: Final = (StoreError, StorageError, OSError, apsw.Error, AdminError, FolderError, KeyFault, BackupError)
"""What ends a program when its disk fails: every one of them is an end a supervisor restarts after."""


class FaultKind(NamedTuple):
    """How operations of a kind fail."""

    error: type[BaseException]
    only: str = ""
    torn: bool = False


FAULTS: Final[dict[str, FaultKind]] = {
    "eio": FaultKind(apsw.IOError),
    "eio-torn": FaultKind(apsw.IOError, "write", torn=True),
    "enospc": FaultKind(apsw.FullError, "write"),
    "enospc-torn": FaultKind(apsw.FullError, "write", torn=True),
    "fsync": FaultKind(apsw.IOError, "sync"),
    "folder": FaultKind(apsw.IOError, "folder"),
}
LASTING: Final = {"once": False, "sticky": True}


class Recording(NamedTuple):
    """One life: the files it began on, everything it did to them, and what it showed."""

    start: Files
    trace: list[Operation]
    witness: Witness

    def walk(self) -> Iterator[tuple[int, Files]]:
        """The files after 0, 1, 2, ... operations. One object, carried on."""
        files = self.start.copy()
        yield 0, files
        for number, operation in enumerate(self.trace, 1):
            files.carry_out([operation])
            yield number, files

    def after(self, operations: int) -> Files:
        files = self.start.copy()
        files.carry_out(self.trace[:operations])
        return files


class Unplayable(AssertionError):
    """A scenario fails although nothing fails that it stands on: a broken promise by itself, or a broken scenario."""


class Violation(NamedTuple):
    """A rule that was broken, and the point to replay."""

    point: str
    fault: str


class Torturer:
    """Works through one scenario after the other; `tally` counts, `violations` is what was found."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.deaf = deaf
        """The disk reports syncs that it does not do: then losses must be found, or this rig finds nothing."""
        self.folder = Path(mkdtemp(prefix="torture-", dir=memory()))
        self.tally: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self._judged: dict[bytes, list[str]] = {}
        self._recordings: dict[str, Recording] = {}

    def close(self) -> None:
        shutil.rmtree(self.folder)

    # --- recording

    def recording(self, scenario: Scenario) -> Recording:
        """The scenario's life when nothing fails. Inside `at_work(scenario)`."""
        if scenario.name not in self._recordings:
            try:
                base = scenario.base()
                put(self.folder, base)
                witness = Witness(scenario.subject.state_in(self.folder))
                self._recordings[scenario.name] = self._record(scenario, Files(base), witness, scenario.play)
            except (Violated, *ENDS) as error:
                raise Unplayable(f"nothing has failed, but: {type(error).__name__}: {error}") from error
        return self._recordings[scenario.name]

    def _record(self, scenario: Scenario, start: Files, witness: Witness, play: Callable[[Any], None]) -> Recording:
        with self._life(scenario, start.copy(), witness) as life:
            play(life)
            trace = life.disk.trace[:]
            assert contents_of(self.folder) == life.disk.files.seen(), (
                f"{scenario.name}: written behind the disk's back"
            )
        return Recording(start, trace, witness)

    @contextmanager
    def _life(self, scenario: Scenario, files: Files, witness: Witness) -> Iterator[Any]:
        put(self.folder, files.seen())
        disk = Disk(self.folder, files)
        disk.deaf = self.deaf
        life = scenario.subject.life(self.folder, disk, witness, create=scenario.create)
        try:
            yield life
        finally:
            life.vanish()
            disk.close()

    # --- crashes

    def crash(self, scenario: Scenario, at: int, damage: Damage) -> None:
        """The power goes after `at` operations of the scenario."""
        recording = self.recording(scenario)
        self.judge(scenario, recording.witness, at, damage.image(recording.after(at)), f"{scenario.name}:{at}:{damage}")

    def crashes(self, scenario: Scenario, wanted: Callable[[int], list[Damage]]) -> None:
        """The power goes after each number of operations, with each wanted damage."""
        recording = self.recording(scenario)
        for at, files in recording.walk():
            for damage in wanted(at):
                point = f"{scenario.name}:{at}:{damage}"
                self.judge(scenario, recording.witness, at, damage.image(files), point)

    def judge(self, scenario: Scenario, witness: Witness, at: int, image: dict[str, bytes], point: str) -> None:
        """Start the program on what the disk has kept; one and the same question is answered once."""
        self.tally["crash_points"] += 1
        question = sha256(repr((scenario.name, sorted(witness.allowed(at)), len(witness.answers_by(at)))).encode())
        for name, content in sorted(image.items()):
            question.update(b"%d %s" % (len(content), name.encode()))
            question.update(content)
        found = self._judged.get(question.digest())
        if found is None:
            self.tally["recoveries"] += 1
            put(self.folder, image)
            found = scenario.subject.faults_in(self.folder, witness, at)
            self._judged[question.digest()] = found
        self._note(point, found)

    def _note(self, point: str, faults: list[str]) -> None:
        self.violations += [Violation(point, fault) for fault in faults]

    # --- a crash, and another one while recovering from it

    def second_life(self, scenario: Scenario, at: int, damage: Damage) -> Recording | None:
        """The recovery from a crash, recorded. "kept" is a kill: what was not synced still is not. None if it fails."""
        point = f"{scenario.name}:{at}:{damage}"
        first = self.recording(scenario)
        files = self._restarted(first, at, damage)
        try:
            return self._record(scenario, files, self._heir(first.witness, at), scenario.subject.recover)
        except (Violated, *ENDS) as error:
            self._note(point, [f"second start: {type(error).__name__}: {error}"])
            return None

    @staticmethod
    def _restarted(recording: Recording, at: int, damage: Damage) -> Files:
        files = recording.after(at)
        return files if damage.kind == "kept" else Files(damage.image(files))

    @staticmethod
    def _heir(witness: Witness, at: int) -> Witness:
        """What the next life finds itself bound to."""
        first = max(mark.at for mark in witness.marks if mark.promised and mark.at <= at)
        promised = next(mark.state for mark in reversed(witness.marks) if mark.promised and mark.at == first)
        heir = Witness(promised, *sorted(witness.allowed(at) - {promised}))
        for question, answer in witness.answers_by(at):
            heir.answered(0, question, answer)
        return heir

    def second_crashes(
        self, scenario: Scenario, at: int, damage: Damage, wanted: Callable[[int], list[Damage]]
    ) -> None:
        """A crash, and then one at each operation of the recovery from it."""
        recording = self.second_life(scenario, at, damage)
        if recording is None:
            return
        self.tally["second_lives"] += 1
        for second_at, files in recording.walk():
            for second in wanted(second_at):
                point = f"{scenario.name}:{at}:{damage}+{second_at}:{second}"
                self.judge(scenario, recording.witness, second_at, second.image(files), point)

    # --- failing operations

    def fault(self, scenario: Scenario, kind: str, lasting: str, number: int, crash: Damage) -> bool:
        """Operation `number` of a kind fails, once or from then on; whether it was met.

        Then the host restarts, on the sick disk and on the mended one, and the power goes: before that restart, and at
        each operation of it.
        """
        witness = Witness(self.recording(scenario).witness.marks[0].state)
        witness.planned = self.recording(scenario).witness
        point = f"{scenario.name}:!{kind}.{lasting}.{number}:{crash}"
        return self._faulted(scenario, Files(scenario.base()), witness, scenario.play, (kind, lasting, number), point)

    def fault_in_recovery(
        self, scenario: Scenario, at: int, damage: Damage, kind: str, lasting: str, number: int, crash: Damage
    ) -> bool:
        """The same while the host recovers from a crash."""
        first = self.recording(scenario)
        witness = self._heir(first.witness, at)
        planned = self.second_life(scenario, at, damage)
        if planned is None:
            return False
        witness.planned = planned.witness
        files = self._restarted(first, at, damage)
        point = f"{scenario.name}:{at}:{damage}+!{kind}.{lasting}.{number}:{crash}"
        return self._faulted(scenario, files, witness, scenario.subject.recover, (kind, lasting, number), point)

    def _faulted(
        self,
        scenario: Scenario,
        files: Files,
        witness: Witness,
        play: Callable[[Any], None],
        fault: tuple[str, str, int],
        point: str,
    ) -> bool:
        kind, lasting, number = fault
        error, only, torn = FAULTS[kind]
        crash = Damage.parse(point.rpartition(":")[2])
        put(self.folder, files.seen())
        disk = Disk(self.folder, files)
        disk.fail(number, error, last=None if LASTING[lasting] else number, only=only, torn=torn)
        try:
            self._live_with_fault(scenario, disk, witness, play, sick_restart=LASTING[lasting])
            if not disk.faults:
                return False
            self.tally[f"fault_{kind}_{lasting}"] += 1
            before, at = disk.files.copy(), len(disk.trace)
            disk.heal()
            self._run(scenario, disk, witness, scenario.subject.recover)
        except Violated as violated:
            self._note(point, [str(violated)])
            return True
        except ENDS as failed:
            self._note(point, [f"no start on the mended disk: {type(failed).__name__}: {failed}"])
            return True
        finally:
            disk.close()
        for number, left in Recording(before, disk.trace[at:], witness).walk():
            when = f"{point} ({number} operations into the restart)"
            self.judge(scenario, witness, at + number, crash.image(left), when)
        return True

    def _live_with_fault(
        self, scenario: Scenario, disk: Disk, witness: Witness, play: Callable[[Any], None], *, sick_restart: bool
    ) -> None:
        try:
            self._run(scenario, disk, witness, play)
        except ENDS:
            if sick_restart:
                with suppress(*ENDS):
                    self._run(scenario, disk, witness, scenario.subject.recover)

    def _run(self, scenario: Scenario, disk: Disk, witness: Witness, play: Callable[[Any], None]) -> None:
        """One process; when the disk has ended it, it must know that it is over."""
        life = scenario.subject.life(self.folder, disk, witness, create=scenario.create)
        try:
            play(life)
        except ENDS as error:
            _assert_over(life, error)
            raise
        finally:
            life.vanish()


@contextmanager
def at_work(scenario: Scenario) -> Iterator[None]:
    """The scenario's limits hold, and the migrations are read once instead of at each start."""
    known = migrate.available()
    with patch.object(migrate, "available", lambda: known), scenario.limits():
        yield


def _assert_over(life: Any, error: BaseException) -> None:
    """After an error that leaves durability unknown nothing is committed any more, and nothing touches the files."""
    before = life.disk.operations
    if isinstance(life, HostLife) and isinstance(error, StoreBroken):
        with suppress(StoreBroken):
            with life.store.transaction():
                pass
            raise Violated("a store that is broken has committed again")
    elif isinstance(life, TillLife) and isinstance(error, OSError) and hasattr(life, "storage"):
        with suppress(OSError):
            life.storage.save_epoch(999)
            raise Violated("a terminal's memory that has failed was written again")
    if life.disk.operations != before:
        raise Violated("a program whose disk has failed has touched its files again")


def spread(count: int, places: int, dice: Random) -> Counter[int]:
    """`count` draws over 0..places-1, as even as possible, the remainder by dice."""
    each, rest = divmod(count, places)
    drawn = Counter(dict.fromkeys(range(places), each))
    drawn.update(dice.sample(range(places), rest))
    return drawn


def crash_plan(count: int, places: int, seed: int) -> Callable[[int], list[Damage]]:
    """For each operation its share of `count` damages, different ones everywhere."""
    drawn = spread(count, places, Random(f"crash plan {seed}"))
    return lambda at: damages(drawn[at], seed * 7_919 + at, first=at)
