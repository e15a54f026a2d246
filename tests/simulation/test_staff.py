"""The second opinion about sign-on, passwords, tellers and prices: what is told otherwise is noticed at once."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from protocol.messages import (
    PasswordAnswer,
    PasswordChangeAnswer,
    PasswordChangeRequest,
    PasswordPurpose,
    PasswordRequest,
    ProductAnswer,
    ProductRequest,
    SignOnRequest,
    TellerAction,
    TellerAnswer,
    TellerRequest,
)
from terminal_emulator.functions.sign_on import sign_on
from tests.simulation.simulator import Options, Simulation, run_to_end
from tests.simulation.staff import ANSWERS, FIRST_PASSWORDS, RECHARGE, Person, first_team

SUPERVISOR_PASSWORD = FIRST_PASSWORDS["supervisor"]


@dataclass
class Desk:
    """One terminal of a campus on which nothing else happens."""

    simulation: Simulation = field(default_factory=lambda: Simulation(1, Options(terminals=2, minutes=0.1), []))

    def __post_init__(self):
        self.staff = self.simulation.staff
        [*_, self.terminal_id] = self.simulation.office.merchant_of
        self.merchant = self.simulation.office.merchant_of[self.terminal_id]

    @property
    def broken(self):
        return [violation.invariant for violation in self.simulation.world.violations]

    def ask(self, asked, answer):
        return self.staff.watch(None, self.terminal_id, asked, lambda: answer)

    def tries(self, *codes, password="9999"):
        for code in codes:
            self.ask(
                PasswordRequest(purpose=PasswordPurpose.OPERATOR, operator=1, password=password),
                PasswordAnswer(response_code=code),
            )

    def dies_over(self, asked):
        def die():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.staff.watch(None, self.terminal_id, asked, die)


@pytest.fixture
def desk():
    return Desk()


def test_five_wrong_passwords_in_a_row_lock(desk):
    desk.tries("55", "55", "55", "55", "75", "75")
    desk.ask(
        PasswordRequest(purpose=PasswordPurpose.OPERATOR, operator=1, password="0000"),
        PasswordAnswer(response_code="75"),
    )
    assert desk.broken == []


@pytest.mark.parametrize("codes", [("00",), ("75",), ("55", "55", "55", "55", "55")])
def test_a_wrong_password_that_is_not_counted(desk, codes):
    desk.tries(*codes)
    assert desk.broken == ["I10"]


def test_a_host_that_dies_may_have_counted(desk):
    wrong = PasswordRequest(purpose=PasswordPurpose.OPERATOR, operator=1, password="9999")
    desk.tries("55", "55", "55")
    desk.dies_over(wrong)
    desk.tries("75", "75")
    assert desk.broken == []
    desk.tries("55")
    assert desk.broken == ["I10"]


def test_a_restored_host_has_forgotten(desk):
    mark = desk.staff.mark()
    desk.tries("55", "55", "55", "55", "75")
    desk.staff.go_back(mark)
    desk.tries("55")
    assert desk.broken == []


def test_a_changed_password(desk):
    change = PasswordChangeRequest(
        purpose=PasswordPurpose.RECHARGE, old_password=FIRST_PASSWORDS["recharge"], new_password="2468"
    )
    desk.ask(change, PasswordChangeAnswer(response_code="00"))
    desk.ask(change, PasswordChangeAnswer(response_code="55"))
    assert desk.staff.team(desk.merchant)[RECHARGE] == Person("recharge", "2468", 0, 1)
    assert desk.broken == []


@pytest.mark.parametrize("new", ["111111", "123", "1234567890123"])
def test_what_may_be_no_password(desk, new):
    first = FIRST_PASSWORDS["recharge"]
    change = PasswordChangeRequest(purpose=PasswordPurpose.RECHARGE, old_password=first, new_password=new)
    desk.ask(change, PasswordChangeAnswer(response_code="F5"))
    assert desk.broken == []
    desk.ask(change, PasswordChangeAnswer(response_code="00"))
    assert desk.broken == ["I10"]


def test_tellers_come_and_go(desk):
    def ask(action, operator, code, told=0, password=SUPERVISOR_PASSWORD):
        asked = TellerRequest(action=action, supervisor_password=password, operator=operator)
        desk.ask(asked, TellerAnswer(response_code=code, operator=told))

    ask(TellerAction.ADD, 7, "55", password="9999")
    ask(TellerAction.ADD, 7, "00", 7)
    ask(TellerAction.ADD, 7, "F5", 7)
    ask(TellerAction.ADD, 0, "F5", 0)
    ask(TellerAction.NEXT, 1, "00", 7)
    ask(TellerAction.NEXT, 7, "25")
    ask(TellerAction.DELETE, 7, "00", 7)
    ask(TellerAction.DELETE, 7, "25", 7)
    ask(TellerAction.DELETE, 0, "25", 0)
    assert desk.staff.team(desk.merchant) == first_team()
    assert desk.broken == []
    ask(TellerAction.NEXT, 1, "00", 7)
    assert desk.broken == ["I10"]


def test_who_may_not_ask(desk):
    asked = PasswordRequest(purpose=PasswordPurpose.SUPERVISOR, password="9999")
    desk.simulation.office.change(1, "merchant", desk.merchant, "closed")
    desk.ask(asked, PasswordAnswer(response_code="03"))
    desk.simulation.office.change(1, "terminal", desk.terminal_id, "revoked")
    desk.ask(asked, PasswordAnswer(response_code="58"))
    assert desk.broken == []
    desk.ask(asked, PasswordAnswer(response_code="55"))
    assert desk.broken == ["I10"]
    assert desk.staff.team(desk.merchant) == first_team()


def test_prices(desk):
    def ask(code, price_fen):
        answer = ProductAnswer(response_code="00" if price_fen else "25", price_fen=price_fen)
        desk.ask(ProductRequest(code=code), answer)

    desk.staff.set_price(desk.merchant, "17", 300, lambda: None)
    ask("17", 300)
    ask("18", 0)
    with pytest.raises(KeyboardInterrupt):
        desk.staff.set_price(desk.merchant, "17", 0, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    ask("17", 0)
    assert desk.broken == []
    ask("17", 300)
    assert desk.broken == ["I2"]


def test_what_the_office_did_or_was_refused(desk):
    def lock(team):
        return team | {1: team[1]._replace(tries=5)}

    def refuse():
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        desk.staff.open_desk(desk.merchant, refuse, lock)
    desk.tries("55")
    desk.staff.open_desk(desk.merchant, lambda: None, lock)
    desk.tries("75")
    assert desk.broken == []


def test_there_is_an_opinion_about_every_request():
    assert set(ANSWERS) == {SignOnRequest, PasswordRequest, PasswordChangeRequest, TellerRequest}


@pytest.mark.parametrize(("column", "value"), [("closed_batch", 55), ("status", 1)])
def test_a_sign_on_that_brings_what_is_not_so(monkeypatch, column, value):
    """Somebody changes a terminal's row by hand: its batch number jumps, or it is refused."""
    simulation = Simulation(1, Options(terminals=2, minutes=0.5), [])

    def tamper():
        inner = simulation.host.store.inner
        inner.execute(f"UPDATE terminals SET {column} = ?", (value,))
        for device in simulation.devices:
            device.work(sign_on, "1", "0000", "2468", "2468")

    simulation.world.time.after(10, tamper)
    run_to_end(simulation)
    expected = "I15" if column == "closed_batch" else "I10"
    assert expected in {violation.invariant for violation in simulation.world.violations}
