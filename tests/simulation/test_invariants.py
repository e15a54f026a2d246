"""What is checked while a campus runs and at its end notices a campus that was tampered with."""

from __future__ import annotations

import pytest

from server.session import Session
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settled import Settlement, Stage
from tests.simulation import invariants
from tests.simulation.campus import Device
from tests.simulation.determinism import START_S
from tests.simulation.faults import Fault
from tests.simulation.invariants import CHECKED, LATER, Nonces, check_balances, check_books, check_memories
from tests.simulation.model import Model
from tests.simulation.oracle import Oracle
from tests.simulation.simulator import Options, Simulation, run_to_end
from tests.simulation.world import World

TINY = Options(terminals=2, minutes=0.5)


def broken(simulation: Simulation) -> set[str]:
    return {violation.invariant for violation in simulation.world.violations}


def run(plan=(), at_10_s=None, options: Options = TINY) -> set[str]:
    """The invariants that a campus breaks with this plan, and with something done to it after ten seconds."""
    simulation = Simulation(1, options, [*plan])
    if at_10_s is not None:
        simulation.world.time.at(START_S + 10, at_10_s, simulation)
    run_to_end(simulation)
    return broken(simulation)


@pytest.fixture
def judged():
    """A campus after an honest day, and the model of it."""
    simulation = Simulation(1, TINY, [])
    run_to_end(simulation)
    assert broken(simulation) == set()
    model = Model(simulation.world, simulation.office, simulation.oracle)
    model.run(simulation.oracle.newest_rrn)
    check_memories(simulation, model)
    assert broken(simulation) == set()
    return simulation, model


def test_every_invariant_is_checked_or_left_for_later_with_a_reason():
    assert {*CHECKED, *LATER} == {f"I{number}" for number in range(1, 25)}
    assert not CHECKED.keys() & LATER.keys()


def test_a_day_ends_with_every_batch_settled(judged):
    simulation, _ = judged
    assert [device.image.records for device in simulation.devices] == [{}] * len(simulation.devices)
    assert all(device.image.last_settlement.is_balanced for device in simulation.devices)
    assert simulation.world.counts["settlements done"] >= len(simulation.devices)


def test_a_record_that_is_not_the_journals_keeps_a_batch_from_balancing():
    def forge(simulation: Simulation) -> None:
        image = simulation.devices[0].image
        batch, stan = image.used
        image.save(
            Record(
                batch=batch,
                stan=stan + 500,
                amount_fen=77,
                payer=b"nobody",
                claimed_at_s=1,
                state=RecordState.APPROVED,
            )
        )

    assert {"I14", "I21"} <= run(at_10_s=forge)


@pytest.mark.parametrize(
    ("stage", "tainted", "lost", "expected"),
    [
        (Stage.ACCEPT, False, False, {"I14"}),
        (Stage.ELSEWHERE, False, False, {"I14"}),
        (Stage.ACCEPT, True, False, set()),
        (Stage.ACCEPT, False, True, set()),
        (Stage.DONE, False, False, set()),
        (Stage.UPLOAD, False, False, set()),
    ],
)
def test_who_may_need_a_supervisor(stage, tainted, lost, expected):
    world = World(1)
    oracle = Oracle(world)
    oracle.case((3, 1, 5)).lost = lost
    if tainted:
        oracle.taint(3)
    oracle.settling("T3", 3, Settlement(batch=1, operator=0, claimed_at_s=1, stage=stage))
    assert {violation.invariant for violation in world.violations} == expected


def test_balances_and_books(judged):
    simulation, model = judged
    earned = dict(model.earned)
    check_balances(simulation, model, dict(model.balances), earned)
    assert broken(simulation) == set()
    check_balances(simulation, model, dict(model.balances) | {"S0": 1}, earned)
    assert broken(simulation) == {"I2"}
    check_balances(simulation, model, dict(model.balances), {})
    assert broken(simulation) == {"I1", "I2"}


def test_the_houses_own_accounts(judged):
    simulation, model = judged
    funding_fen = model.books.balances["funding"]
    assert sum(model.books.balances.values()) == 0
    found = {name: fen for name, fen in model.books.balances.items() if name not in model.balances}
    check_books(simulation, model, found)
    assert broken(simulation) == set()
    check_books(simulation, model, found | {"funding": funding_fen + 5})
    assert broken(simulation) == {"I1"}


@pytest.mark.parametrize(
    ("before", "after", "invariant"),
    [
        (RecordState.APPROVED, RecordState.DECLINED, "I8"),
        (RecordState.DECLINED, RecordState.APPROVED, "I6"),
        (RecordState.APPROVED, RecordState.PENDING, "I7"),
        (RecordState.APPROVED, RecordState.REVERSING, "I7"),
    ],
)
def test_a_terminal_that_remembers_what_was_not(judged, before, after, invariant):
    simulation, model = judged
    is_charged = before is RecordState.APPROVED
    decided = [(identity, case) for identity, case in simulation.oracle.cases.items() if case.content is not None]
    (terminal_id, batch, stan), case = next(one for one in decided if (one[0] in model.charged) == is_charged)
    device = next(device for device in simulation.devices if device.terminal_id == terminal_id)
    amount_fen = case.content.amount_fen
    device.image.save(Record(batch=batch, stan=stan, amount_fen=amount_fen, payer=b"card", claimed_at_s=1, state=after))
    check_memories(simulation, model)
    assert broken(simulation) == {invariant}


def test_a_customer_who_saw_approved_and_is_not_charged(judged):
    simulation, model = judged
    model.charged.pop(next(iter(model.charged)))
    check_memories(simulation, model)
    assert broken(simulation) == {"I6"}


def test_a_nonce_twice():
    world = World(1)
    nonces = Nonces(world)
    for key, nonce in ((b"k", b"1"), (b"k", b"2"), (b"l", b"1")):
        nonces.seal(key, nonce)
        nonces.open(key, nonce)
    assert world.violations == []
    nonces.open(b"k", b"2")
    nonces.seal(b"l", b"1")
    assert [violation.invariant for violation in world.violations] == ["I18", "I18"]


def test_a_row_changed_by_hand():
    def tamper(simulation: Simulation) -> None:
        simulation.host.store.inner.execute("UPDATE transfers SET operator = operator + 1 WHERE seq = 1")

    assert run(at_10_s=tamper) == {"I12"}


def test_a_counter_that_is_not_true():
    def tamper(simulation: Simulation) -> None:
        simulation.host.host.metrics.authorizations.labels(type="sale", code="00").inc()

    assert run(at_10_s=tamper) == {"I24"}


def test_an_epoch_that_does_not_grow():
    def tamper(simulation: Simulation) -> None:
        simulation.host.store.inner.execute("UPDATE meta SET value = '1' WHERE name = 'epoch'")

    kill = Fault(0, 12.0, "kill", 0, {"steps": 1, "restart_s": 1.0})
    assert run([kill]) == set()
    assert run([kill], at_10_s=tamper) == {"I15"}


def test_a_host_without_limits(monkeypatch):
    monkeypatch.setattr(invariants, "gauge", lambda _metric: 1_000_000.0)
    assert run() == {"I20"}


def test_a_terminal_that_never_comes_back(monkeypatch):
    monkeypatch.setattr(Device, "is_done", property(lambda _device: False))
    assert run() == {"I21"}


def test_an_older_session_that_lives_on(monkeypatch):
    end = Session.end
    monkeypatch.setattr(Session, "end", lambda self, why: None if why == "takeover" else end(self, why))
    clone = Fault(0, 5.0, "clone", 0, {"for_s": 25.0})
    assert "T4" in run([clone], options=Options(terminals=2, minutes=1.0))


def test_an_exception_nobody_had_foreseen(monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("server.ledger.rules.sale._moves", fail)
    assert "S4" in run()
