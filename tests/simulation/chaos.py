"""Carries a plan out: one function per kind of fault, and `heal`, after which nothing goes wrong any more."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import trio

from protocol.messages import Message, QueryRequest, SaleRequest
from server.ledger.sqlite import SqliteStore
from terminal_emulator.record import RecordState
from tests.simulation.campus import Device, copy_of
from tests.simulation.faults import KINDS, Fault
from tests.simulation.network import END, Line
from tests.simulation.probe import NoAnswer, Probe
from tests.simulation.staff import Knowledge

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

LOST: Final = (NoAnswer, OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)
PROBE_S: Final = 8.0
"""A probe that hears nothing for so long gives up."""
SNAPSHOT_EVERY_S: Final = 20.0
"""How often a terminal's memory is copied, for a rollback to go back to."""

Chaotic = Callable[["Chaos", Fault, Device], None]


class Backup(NamedTuple):
    """A ledger as it was, when that was, and the marks of that moment."""

    at_s: float
    ledger: SqliteStore
    office: int
    staff: Knowledge


class Chaos:
    """The plan of one run at work."""

    def __init__(self, simulation: Simulation, plan: list[Fault]) -> None:
        self.simulation = simulation
        self.plan = plan
        self.world = simulation.world
        self.time = simulation.world.time
        self.host = simulation.host
        self.on = True
        self.doubles: list[Device] = []
        self._snapshots: dict[str, Any] = {}
        self._backups: dict[int, Backup] = {}
        self._past: list[tuple[float, float]] = [(0.0, inf)]
        """The times the present ledger has lived through: a restore cuts some off."""
        self._probes: list[Line] = []

    def start(self) -> None:
        """Plan every fault."""
        for fault in self.plan:
            self.time.after(fault.at_s, self._strike, fault)
        if any(fault.kind == "rollback" for fault in self.plan):
            self.time.after(SNAPSHOT_EVERY_S, self._remember)
        for fault in self.plan:
            if fault.kind == "restore":
                self.time.after(max(0.5, fault.at_s - fault.parameters["age_s"]), self._back_up, fault)

    def _strike(self, fault: Fault) -> None:
        if not self.on:
            return
        self.world.note(f"fault {fault}")
        self.world.counts[f"fault {fault.kind}"] += 1
        devices = self.simulation.devices
        ACTS[fault.kind](self, fault, devices[fault.target % len(devices)])

    def later(self, wait_s: float, undo: Callable[..., None], *args: Any) -> None:
        """End a fault after a while, unless all have ended by then."""
        self.time.after(wait_s, lambda: undo(*args) if self.on else None)

    def lines(self) -> list[Line]:
        """Every terminal's line."""
        return [device.line for device in self.simulation.devices]

    def change(self, line: Line, for_s: float, **weather: Any) -> None:
        """Other weather on a line for a while."""
        for name, value in weather.items():
            setattr(line.weather, name, value)
        self.later(for_s, self.clear_up, line, [*weather])

    def clear_up(self, line: Line, names: list[str]) -> None:
        """Good weather again."""
        for field in msgspec.structs.fields(line.weather):
            if field.name in names:
                setattr(line.weather, field.name, field.default)
        line.changed()

    def heal(self) -> None:
        """Nothing is wrong any more, and everybody has power."""
        self.on = False
        self.world.calm = True
        for line in self.lines():
            line.heal()
        for double in self.doubles:
            double.powered = False
            double.cut_power("the double is found")
        self.host.disk.trouble.heal()
        self.host.slow_s = self.host.paused_until_s = 0.0
        for device in self.simulation.devices:
            device.powered = True
            device.off_s = 1.0
            device.cut_power_at_write("")

    def _remember(self) -> None:
        """Copy every terminal's memory, now and then."""
        if self.on:
            for device in self.simulation.devices:
                self._snapshots[device.name] = copy_of(device.image)
            self.time.after(SNAPSHOT_EVERY_S, self._remember)

    # --- One function per kind

    def lag(self, fault: Fault, device: Device) -> None:
        """Slow and jittery."""
        most_s = fault.parameters["latency_s"]
        self.change(device.line, fault.parameters["for_s"], latency_s=(most_s / 8, most_s))

    def chance(self, fault: Fault, device: Device) -> None:
        """Something that befalls each piece by chance: the kind is the name of the weather."""
        self.change(device.line, fault.parameters["for_s"], **{fault.kind: fault.parameters["chance"]})

    def stall(self, fault: Fault, device: Device) -> None:
        """Nothing arrives for a while, then all of it."""
        directions = {"stall_up": ["stalled_up"], "stall_down": ["stalled_down"]}
        names = directions.get(fault.kind, ["stalled_up", "stalled_down"])
        self.change(device.line, fault.parameters["for_s"], **dict.fromkeys(names, True))

    def reset(self, fault: Fault, device: Device) -> None:
        """The connection breaks, and both ends know."""
        device.line.reset()

    def half_open(self, fault: Fault, device: Device) -> None:
        """The connection is gone, and nobody knows."""
        device.line.half_open()

    def cut(self, fault: Fault, device: Device) -> None:
        """The cable is out for a while."""
        self.change(device.line, fault.parameters["for_s"], up=False)

    def refuse(self, fault: Fault, device: Device) -> None:
        """Connections are refused for a while."""
        self.change(device.line, fault.parameters["for_s"], refuse=True)

    def swizzle(self, fault: Fault, device: Device) -> None:
        """A random part of the lines stops, one after the other, and resumes in another order."""
        rng = self.world.rng("fault", fault.number)
        for line in self.lines():
            if rng.random() < fault.parameters["share"]:
                half_s = fault.parameters["for_s"] / 2
                rest_s = half_s + half_s * rng.random()
                self.later(half_s * rng.random(), self.change_stalled, line, rest_s)

    def change_stalled(self, line: Line, for_s: float) -> None:
        """One line of a swizzle."""
        self.change(line, for_s, stalled_up=True, stalled_down=True)

    def site(self, fault: Fault, device: Device) -> None:
        """The whole campus is cut off."""
        for line in self.lines():
            self.change(line, fault.parameters["for_s"], up=False)

    def crowd(self, fault: Fault, device: Device) -> None:
        """Strangers connect and say nothing."""
        line = Line(self.world, f"crowd {fault.number}", self.host.accept)
        for _ in range(fault.parameters["connections"]):
            self.simulation.start(self._stand_about, line, fault.parameters["for_s"])

    async def _stand_about(self, line: Line, for_s: float) -> None:
        try:
            stream = await line.connect()
        except OSError:
            return
        await self.time.sleep(for_s)
        await trio.aclose_forcefully(stream)

    def noise(self, fault: Fault, device: Device) -> None:
        """Random bytes on the terminal's own connection, or on a new one."""
        rng = self.world.rng("fault", fault.number)
        data = rng.randbytes(fault.parameters["size"])
        ends = [end for end in device.line.ends if end.at_host]
        if ends and rng.random() < 0.5:
            ends[-1].arrive(data)
            return
        line = Line(self.world, f"noise {fault.number}", self.host.accept)
        self.simulation.start(self._shout, line, data)

    async def _shout(self, line: Line, data: bytes) -> None:
        try:
            stream = await line.connect()
            await stream.send_all(data)
            while await stream.receive_some(4096) != END:
                self.world.violate("A9", "the host answers noise")
        except LOST:
            pass

    def kill(self, fault: Fault, device: Device) -> None:
        """kill -9 between two steps, or the host's plug."""
        values = fault.parameters
        self.host.kill_after(values["steps"], fault.kind, restart_s=values["restart_s"], power=fault.kind == "power")

    def kill_at(self, fault: Fault, device: Device) -> None:
        """kill -9 at an exact place in the store."""
        self.host.restart_s = fault.parameters["restart_s"]
        self.host.disk.trouble.kill_at = fault.parameters["seam"]

    def stop(self, fault: Fault, device: Device) -> None:
        """SIGTERM."""
        self.host.stop(restart_s=fault.parameters["restart_s"])

    def full(self, fault: Fault, device: Device) -> None:
        """The disk is full for a while."""
        self.host.disk.trouble.full = True
        self.later(fault.parameters["for_s"], self._free)

    def _free(self) -> None:
        self.host.disk.trouble.full = False

    def sync(self, fault: Fault, device: Device) -> None:
        """The next commit's fsync fails."""
        self.host.restart_s = fault.parameters["restart_s"]
        self.host.disk.trouble.fail_sync = fault.parameters["where"]

    def slow(self, fault: Fault, device: Device) -> None:
        """The disk takes its time."""
        self.host.slow_s = fault.parameters["slow_s"]
        self.later(fault.parameters["for_s"], self._hurry)

    def _hurry(self) -> None:
        self.host.slow_s = 0.0

    def pause(self, fault: Fault, device: Device) -> None:
        """SIGSTOP: the host neither hears nor says nor commits anything for a while."""
        for_s = fault.parameters["for_s"]
        self.host.paused_until_s = self.time.now + for_s
        for line in self.lines():
            self.change(line, for_s, stalled_up=True, stalled_down=True)

    def host_clock(self, fault: Fault, device: Device) -> None:
        """The host's wall clock jumps."""
        by_ms = int(fault.parameters["by_s"] * 1000)
        before_ms = self.host.now_ms()
        self.host.clock_offset_ms += by_ms
        self.simulation.office.jumps_ms.append((before_ms, self.host.now_ms()))
        self.simulation.oracle.clock_went_back |= by_ms < 0

    def terminal_power(self, fault: Fault, device: Device) -> None:
        """A terminal loses power between two steps."""
        device.off_s = fault.parameters["off_s"]
        device.cut_power_after(fault.parameters["steps"])

    def terminal_write(self, fault: Fault, device: Device) -> None:
        """A terminal loses power before or after it stores something."""
        device.off_s = fault.parameters["off_s"]
        device.cut_power_at_write(fault.parameters["where"])

    def terminal_clock(self, fault: Fault, device: Device) -> None:
        """A terminal's clock is wrong."""
        device.wall_offset_s += fault.parameters["by_s"]

    def rollback(self, fault: Fault, device: Device) -> None:
        """A terminal's memory comes back from a power cut as it was before (T4)."""
        earlier = self._snapshots.get(device.name)
        if earlier is None:
            return
        self.simulation.oracle.taint(device.terminal_id)
        device.off_s = fault.parameters["off_s"]
        device.cut_power("its memory goes back in time")
        device.image = copy_of(earlier)

    def clone(self, fault: Fault, device: Device) -> None:
        """A second device with the same number, key and memory appears (T4)."""
        if device.rotating:
            return  # the double would take its next key away, and somebody would have to enrol it anew
        self.simulation.oracle.taint(device.terminal_id)
        name = f"{device.name}*{fault.number}"
        line = Line(self.world, name, self.host.accept)
        double = Device(self.world, name, device.settings, line, self.simulation.oracle)
        double.image = copy_of(device.image)
        self.doubles.append(double)
        self.simulation.sellers.append(double)
        self.simulation.start(double.run)
        self.later(fault.parameters["for_s"], self._arrest, double)

    def _arrest(self, double: Device) -> None:
        double.powered = False
        double.cut_power("the double is found")

    def copies(self, fault: Fault, device: Device) -> None:
        """A request of before comes again, many times, in a session of its own (T2)."""
        self.simulation.start(self._repeat, fault, device)

    async def _repeat(self, fault: Fault, device: Device) -> None:
        rng = self.world.rng("fault", fault.number)
        if self.simulation.office.era:
            return  # a restored host would take for new what it has lost
        decided = [record for record in device.image.records.values() if not record.state.is_open]
        if not decided:
            return
        record = rng.choice(decided)
        request = request_of(record, SaleRequest if record.state is RecordState.APPROVED else QueryRequest)
        await self._converse(device, rng, f"{device.name} again", [request] * fault.parameters["count"])

    def reuse(self, fault: Fault, device: Device) -> None:
        """A number of before comes again with another amount (T3)."""
        self.simulation.start(self._reuse, fault, device)

    async def _reuse(self, fault: Fault, device: Device) -> None:
        rng = self.world.rng("fault", fault.number)
        if self.simulation.office.era:
            return
        approved = [record for record in device.image.records.values() if record.state is RecordState.APPROVED]
        if not approved:
            return
        others = [rng.choice(approved) for _ in range(fault.parameters["count"])]
        requests = [request_of(msgspec.structs.replace(r, amount_fen=r.amount_fen + 1), SaleRequest) for r in others]
        await self._converse(device, rng, f"{device.name} broken", requests)

    def _back_up(self, fault: Fault) -> None:
        """The backup that a later fault goes back to."""
        # A change that a dying host may have made is noted later than it was made: no backup between the two.
        if self.on and self.host.is_up and not self.simulation.clerks.undecided:
            office, staff = self.simulation.office.mark(), self.simulation.staff.mark()
            self._backups[fault.number] = Backup(self.time.now, self.host.disk.copy(), office, staff)

    def restore(self, fault: Fault, device: Device) -> None:
        """The host's disk is lost, and the ledger comes back from a backup (D6, D7)."""
        backup, simulation, now_s = self._backups.get(fault.number), self.simulation, self.time.now
        if backup is None or not any(start_s <= backup.at_s <= end_s for start_s, end_s in self._past):
            return  # made in a past that a restore since has undone
        self.host.kill("its disk is lost", restart_s=fault.parameters["restart_s"], power=True)
        for line in (*self.lines(), *self._probes):
            line.reset()  # what the lost host has said and nobody has heard yet is lost with it
        self._past = [(start_s, min(end_s, backup.at_s)) for start_s, end_s in self._past if start_s <= backup.at_s]
        self._past.append((now_s, inf))
        head = self.host.disk.restore(backup.ledger, self.host.now_ms())
        simulation.office.go_back(backup.office, head)
        simulation.staff.go_back(backup.staff)
        simulation.oracle.go_back(head)
        simulation.start(simulation.clerks.enrol_anew)

    async def _converse(self, device: Device, rng: Random, who: str, requests: list[Message]) -> None:
        """Say all this in a session of its own, which may end at any point."""
        line = Line(self.world, f"probe {device.name}", self.host.accept)
        self._probes.append(line)
        probe = Probe(device.settings, line, rng)
        with trio.move_on_after(PROBE_S):
            try:
                await probe.open()
                for request in requests:
                    answer = await probe.ask(request)
                    self.simulation.oracle.heard(who, device.terminal_id, request, answer)
            except LOST:
                pass
            finally:
                await probe.close()
                self._probes.remove(line)


def request_of(record: Any, kind: type) -> Any:
    """The sale or query a record stands for."""
    names = [field.name for field in msgspec.structs.fields(kind)]
    return kind(**{name: getattr(record, name) for name in names if hasattr(record, name)})


ACTS: Final[dict[str, Chaotic]] = {
    kind: getattr(Chaos, kind, None) or (Chaos.stall if kind.startswith("stall") else Chaos.chance) for kind in KINDS
}
ACTS["power"] = Chaos.kill
