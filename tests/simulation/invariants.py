"""The invariants of docs/reliability.md section 3: which are checked here, where, and which cannot be yet.

Online: at the moment they break (oracle, campus, host). At the end: after a phase in which every unknown is resolved by
asking the host through real sessions (Jepsen's final reads), and the model has gone through everything decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from prometheus_client import Gauge

from protocol import security
from protocol.messages import Message, ProductRequest
from server.app import Host
from server.handlers import CALLS, Call
from server.ledger.verify import verify
from server.operations.desk import Desk
from terminal_emulator.record import RecordState
from tests.simulation.books import BONUS, DEBT, FUNDING, HOLDS, ISSUED, points_of
from tests.simulation.model import Model
from tests.simulation.network import End
from tests.simulation.office import Settled
from tests.simulation.staff import ANSWERS
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

CHECKED: Final = {
    "I1": "the model's balances, funding and merchants sum to zero, and the ledger's are the same",
    "I2": "each answered balance, and each final one, is the model's",
    "I3": "no approval the model would have refused; no customer below zero",
    "I4": "each number and each identity stands for one decided request; every transfer was asked for by somebody",
    "I5": "every copy, query and late answer says what the first answer said, byte for byte",
    "I6": "what a terminal was told is still so at the end, through kills, power cuts and broken disks",
    "I7": "at the end nothing is open in any terminal, and nothing is held beyond its time",
    "I8": "a reversal gives back exactly what its original and all that came of it took, once",
    "I9": "what comes after its reversal is declined, of whatever kind",
    "I10": "no approval on a screen without an answer, none that a restart forgets, no refusal the model would approve;"
    " passwords and tellers are answered as the model would, wrong ones counted through kills and restores",
    "I11": "what was sold offline is judged in the order it was sold, and all of it",
    "I12": "server.ledger.verify: numbers dense, chain unbroken",
    "I13": "what a settlement says of a batch is what was approved in it until then; nothing comes after it",
    "I14": "every batch of an honest terminal balances, through kills, power cuts and restores",
    "I15": "host epochs and business days never go back; what a sign-on brings is what counts at that moment",
    "I17": "ghosts, noise and changed frames leave no effect: every transfer belongs to a request of a real terminal",
    "I18": "no nonce seals twice under a key, no sealed frame is accepted twice",
    "I20": "connections, queue and tasks stay below their limits",
    "I21": "when faults stop, every terminal is online and has nothing open within RECOVERY_S",
    "I22": "same seed, same digest, in other processes and under other hash seeds",
    "I24": "exported counters are the simulator's own count",
}
"""And beside these T1 (stored before sent), T4 (one session a number), T5 (without a host nothing is sold to a card on
the terminal's stop list, and the host's list is what the office has stopped), T6 (where it is locked, or nobody has
signed on who has to, nothing is sold), A9 (silence for strangers) and S4 (no
exception nobody had foreseen)."""

LATER: Final = {
    "I16": "one campus has one operator; merchants see nothing yet",
    "I19": "a canary scan of its own (tests/security)",
    "I23": "a second process on one ledger: tests/kill",
}
"""What this simulator does not check, and why."""

SPARE_TASKS: Final = 40
"""Tasks of the host beside one for each connection: its own, calls of the office, connections about to be refused."""


class Nonces:
    """I18: every nonce of every key is used once to seal and once to open, both directions, all sessions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sealed: dict[bytes, set[bytes]] = {}
        self._opened: dict[bytes, set[bytes]] = {}

    def seal(self, key: bytes, nonce: bytes) -> None:
        """Somebody seals a frame."""
        self._once(self._sealed, key, nonce, "seals two frames")

    def open(self, key: bytes, nonce: bytes) -> None:
        """Somebody has opened a frame, and will believe it."""
        self._once(self._opened, key, nonce, "is accepted twice")

    def _once(self, used: dict[bytes, set[bytes]], key: bytes, nonce: bytes, what: str) -> None:
        before = used.get(key)
        if before is None:
            before = used[key] = set()
        self._world.check(nonce not in before, "I18", f"nonce {nonce.hex()} {what} under one key")
        before.add(nonce)


@contextmanager
def watched_seals(world: World) -> Iterator[None]:
    """Inside, every AES-GCM of the protocol tells of its nonces."""
    nonces, original = Nonces(world), security.AESGCM

    class Watched:
        def __init__(self, key: bytes) -> None:
            self._key = key
            self._gcm = original(key)

        def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
            nonces.seal(self._key, nonce)
            return self._gcm.encrypt(nonce, data, associated_data)

        def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
            opened = self._gcm.decrypt(nonce, data, associated_data)
            nonces.open(self._key, nonce)
            return opened

    vars(security)["AESGCM"] = Watched
    try:
        yield
    finally:
        vars(security)["AESGCM"] = original


@contextmanager
def watched_calls(simulation: Simulation) -> Iterator[None]:
    """Inside, what the host answers at once is judged as it answers it."""
    before = dict(CALLS)

    def watched(call: Call) -> Call:
        def run(desk: Desk, terminal_id: int, asked: Message) -> Message:
            return simulation.staff.watch(desk, terminal_id, asked, lambda: call.run(desk, terminal_id, asked))

        return call._replace(run=run)

    wanted: tuple[type[Message], ...] = (*ANSWERS, ProductRequest)
    CALLS.update({asked: watched(CALLS[asked]) for asked in wanted})
    try:
        yield
    finally:
        CALLS.update(before)


# --- while it runs


def gauge(metric: Gauge) -> float:
    """What a gauge without labels exports."""
    [family] = metric.collect()
    return float(family.samples[0].value)


class Rivals:
    """T4: of two sessions under one terminal's number only the newer one lives."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._seen: dict[int, set[End]] = {}

    def check(self) -> None:
        """Called every few seconds: who had two sessions at the last call, and still has the same two?"""
        simulation = self._simulation
        found: dict[int, set[End]] = {}
        for device in (*simulation.devices, *simulation.chaos.doubles):
            if device.terminal is not None and device.terminal.brain.online:
                live = [end.peer for end in device.line.ends if not end.at_host and end.copy_to is None]
                found.setdefault(device.terminal_id, set()).update(e for e in live if e is not None and not e.closed)
        for terminal_id, ends in found.items():
            both = ends & self._seen.get(terminal_id, set())
            simulation.world.check(len(both) < 2, "T4", f"terminal {terminal_id} has {len(both)} sessions at once")
        self._seen = found


def check_limits(simulation: Simulation) -> None:
    """I20: bounded in every state."""
    host = simulation.host.host
    if host is None:
        return
    world, config = simulation.world, simulation.host.config
    connections, sessions, queue = map(
        gauge, (host.metrics.connections, host.metrics.sessions, host.metrics.queue_depth)
    )
    world.check(connections <= config.limits.connections, "I20", f"{connections} connections")
    most = 2 * config.ledger.queue_max  # what customers wait for, and beside it what was sold offline
    world.check(queue <= most, "I20", f"{queue} requests wait, expected at most {most}")
    world.check(sessions <= connections, "I20", f"{sessions} sessions on {connections} connections")
    tasks, most = simulation.host.tasks, SPARE_TASKS + config.limits.connections
    world.check(tasks <= most, "I20", f"{tasks} tasks, expected at most {most}")


# --- at the end


def check_ledger(simulation: Simulation) -> None:
    """The ledger's own verification: never the only judge, but it must agree."""
    store = simulation.host.disk.open()
    for check in verify(store):
        simulation.world.check(check.ok, "I12", f"verify: {check.name}: {check.detail}")


def check_balances(simulation: Simulation, model: Model, found: dict[str, int], merchants: dict[int, int]) -> None:
    """I1, I2: everybody has what the model says."""
    world = simulation.world
    for customer, balance_fen in model.balances.items():
        world.check(
            found.get(customer) == balance_fen,
            "I2",
            f"{customer}: the ledger says {found.get(customer)} fen, expected {balance_fen}",
        )
        world.check(balance_fen >= 0, "I3", f"{customer} is below zero: {balance_fen} fen")
    for merchant, earned_fen in model.earned.items():
        world.check(
            merchants.get(merchant) == earned_fen,
            "I1",
            f"merchant {merchant}: the ledger says {merchants.get(merchant)} fen, expected {earned_fen}",
        )


OWN_ACCOUNTS: Final = {1: FUNDING, 2: DEBT, 3: HOLDS, 4: BONUS, 5: ISSUED}
"""The house's own accounts, by number."""
POINTS_OFFSET: Final = 1 << 40
"""A customer's points lie this far behind the customer's account."""


def own_accounts(host: Host) -> dict[str, int]:
    """The house's own accounts and everybody's points, which no listing shows: by the names of the model."""
    execute = host.ledger.store.execute
    found = {
        OWN_ACCOUNTS[number]: fen
        for number, fen in execute("SELECT account_id, balance_fen FROM accounts WHERE account_id <= 5")
    }
    owners = dict(execute("SELECT account_id, student_number FROM customers"))
    for number, points in execute(
        "SELECT account_id, balance_fen FROM accounts WHERE account_id >= ?", (POINTS_OFFSET,)
    ):
        found[points_of(owners[number - POINTS_OFFSET])] = points
    return found


def check_books(simulation: Simulation, model: Model, found: dict[str, int]) -> None:
    """I1: what is held, borne, given as bonus, paid in, and everybody's points."""
    customers = set(model.balances)
    names = {name for name in model.books.balances if name not in customers and not name.startswith("merchant")}
    for name in sorted(names | set(found)):
        expected = model.books.balances[name]
        simulation.world.check(
            found.get(name, 0) == expected,
            "I1",
            f"{name}: the ledger says {found.get(name, 0)}, expected {expected}",
        )


def check_holds(simulation: Simulation, model: Model, now_ms: int) -> None:
    """I7: nothing is held for longer than was agreed."""
    for rrn, until_ms in model.held_until_ms().items():
        simulation.world.check(until_ms > now_ms, "I7", f"hold {rrn}: {now_ms - until_ms} ms after its time, and held")


def settled_batches(host: Host) -> list[Settled]:
    """Every batch the host has closed, as its tables have it."""
    execute = host.ledger.store.execute
    totals: dict[tuple[int, int], dict[int, tuple[int, int, int]]] = {}
    for number, side, kind, count, amount_fen, charged_fen in execute(
        "SELECT settlement, side, kind, count, amount_fen, charged_fen FROM settlement_totals"
    ):
        totals.setdefault((number, side), {})[kind] = (count, amount_fen, charged_fen)
    rows = execute(
        "SELECT settlement, terminal_id, batch, through_seq, state FROM settlements WHERE state > 0 ORDER BY settlement"
    )
    return [
        Settled(
            terminal_id,
            batch,
            through,
            state == 1,
            totals.get((number, 0), {}),
            totals.get((number, 1), {}),
        )
        for number, terminal_id, batch, through, state in rows
    ]


def check_settlements(simulation: Simulation, model: Model, found: list[Settled]) -> None:
    """I13, I14: what was settled is what the model has of it, each transfer in one settlement."""
    world = simulation.world
    for settled in found:
        where = f"settlement of terminal {settled.terminal_id}, batch {settled.batch}"
        world.counts["batches settled"] += 1
        expected = model.totals(settled)
        world.check(settled.ours == expected, "I13", f"{where}: {settled.ours}, expected {expected}")
        late = model.late(settled)
        world.check(not late, "I13", f"{where}: {late} came after it was closed")
        if settled.is_balanced:
            world.check(settled.theirs == settled.ours, "I14", f"{where}: balanced, but {settled}")


def check_memories(simulation: Simulation, model: Model) -> None:
    """I6, I7: what each terminal remembers, and what it told its customers, is what the money did."""
    world, oracle = simulation.world, simulation.oracle
    for device in simulation.devices:
        if device.terminal_id in oracle.tainted:
            continue
        for record in [*device.image.archived.values(), *device.image.records.values()]:
            identity = (device.terminal_id, record.batch, record.stan)
            if oracle.case(identity).lost:
                continue
            charged = model.charged.get(identity)
            where = f"{device.name} batch {record.batch} STAN {record.stan}"
            if record.state.is_open:
                world.violate("I7", f"{where}: still {record.state}")
            elif record.state is RecordState.OFFLINE:
                world.violate("I11", f"{where}: sold offline, and never judged")
            elif record.state is RecordState.APPROVED:
                moved = record.moved_fen
                world.check(charged == moved, "I6", f"{where}: {record.kind.name} of {moved}, but charged {charged}")
            else:
                world.check(charged is None, "I8", f"{where}: {record.state}, but charged {charged}")
    for identity, case in oracle.cases.items():
        if identity[0] in oracle.tainted or case.lost:
            continue
        where = f"terminal {identity[0]} batch {identity[1]} STAN {identity[2]}"
        if RecordState.APPROVED in case.told:
            world.check(identity in model.charged, "I6", f"{where}: the customer saw approved, and is not charged")
        elif case.told:
            world.check(identity not in model.charged, "I8", f"{where}: the customer saw {case.told}, and is charged")
