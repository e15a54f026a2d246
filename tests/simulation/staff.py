"""The second opinion about what is answered at once and moves no money: sign-on, passwords, tellers, prices.

The host answers such a request in one go, between two commits, and is judged at that moment, in the order in which it
answers. If it dies over one, nobody knows whether it was done: then both are believed until an answer tells.
Dicts and sets of possibilities; no line of the server's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from protocol.messages import (
    Message,
    PasswordAnswer,
    PasswordChangeAnswer,
    PasswordChangeRequest,
    PasswordPurpose,
    PasswordRequest,
    ProductAnswer,
    ProductRequest,
    SignOnAnswer,
    SignOnRequest,
    TellerAction,
    TellerAnswer,
    TellerRequest,
)

if TYPE_CHECKING:
    from server.operations.desk import Desk
    from tests.simulation.simulator import Simulation

SUPERVISOR: Final = 0
RECHARGE: Final = 10_000
FIRST_PASSWORDS: Final = {"supervisor": "123456", "teller": "0000", "recharge": "111111"}
"""As the manual of the seed documents has them."""
TRIES: Final = 5
"""Wrong passwords in a row until there are no more tries."""
DIGITS: Final = range(4, 13)
APPROVED: Final = "00"
REVOKED: Final = "58"
CLOSED: Final = "03"
UNKNOWN: Final = "25"
UNUSABLE: Final = "F5"

T = TypeVar("T")


class Person(NamedTuple):
    """One who has a password at a merchant's terminals."""

    role: str
    password: str
    must_change: int = 1
    tries: int = 0


Team = dict[int, Person]
"""A merchant's people by number."""
Told = tuple[Any, ...]
"""What an answer says."""


def first_team() -> Team:
    """Whom every merchant has from the beginning."""
    return {
        number: Person(role, FIRST_PASSWORDS[role])
        for number, role in ((SUPERVISOR, "supervisor"), (1, "teller"), (RECHARGE, "recharge"))
    }


# --- What each request comes to: what is told, and the team afterwards


def checked(team: Team, number: int, password: str) -> tuple[str, Team]:
    """A password is tried."""
    person = team.get(number)
    if person is None:
        return "55", team
    if person.tries >= TRIES:
        return "75", team
    if password == person.password:
        return APPROVED, team | {number: person._replace(tries=0)}
    tries = person.tries + 1
    return "75" if tries >= TRIES else "55", team | {number: person._replace(tries=tries)}


def _owner(asked: PasswordRequest | PasswordChangeRequest) -> int:
    owners = {PasswordPurpose.SUPERVISOR: SUPERVISOR, PasswordPurpose.RECHARGE: RECHARGE}
    return owners.get(asked.purpose, asked.operator)


def _sign_on(team: Team, asked: SignOnRequest) -> tuple[Told, Team]:
    code, after = checked(team, asked.operator, asked.password)
    if code != APPROVED:
        return (code, "", 0), after
    person = after[asked.operator]
    return (code, person.role, person.must_change), after


def _password(team: Team, asked: PasswordRequest) -> tuple[Told, Team]:
    code, after = checked(team, _owner(asked), asked.password)
    return (code, after[_owner(asked)].must_change if code == APPROVED else 0), after


def _change(team: Team, asked: PasswordChangeRequest) -> tuple[Told, Team]:
    number, new = _owner(asked), asked.new_password
    code, after = checked(team, number, asked.old_password)
    if code != APPROVED:
        return (code,), after
    person = after[number]
    if len(new) not in DIGITS or new in (asked.old_password, FIRST_PASSWORDS[person.role]):
        return (UNUSABLE,), after
    return (code,), after | {number: person._replace(password=new, must_change=0)}


def _teller(team: Team, asked: TellerRequest) -> tuple[Told, Team]:
    code, after = checked(team, SUPERVISOR, asked.supervisor_password)
    number = asked.operator
    if code != APPROVED:
        return (code, 0), after
    tellers = sorted(other for other, person in after.items() if person.role == "teller")
    if asked.action is TellerAction.NEXT:
        above = [other for other in tellers if other > number]
        return ((code, above[0]) if above else (UNKNOWN, 0)), after
    if asked.action is TellerAction.DELETE:
        if number not in tellers:
            return (UNKNOWN, number), after
        return (code, number), {other: person for other, person in after.items() if other != number}
    first = asked.new_password or FIRST_PASSWORDS["teller"]
    if number in after or not 1 <= number <= 99 or len(first) not in DIGITS:
        return (UNUSABLE, number), after
    return (code, number), after | {number: Person("teller", first)}


ANSWERS: Final[dict[type[Message], Callable[[Team, Any], tuple[Told, Team]]]] = {
    SignOnRequest: _sign_on,
    PasswordRequest: _password,
    PasswordChangeRequest: _change,
    TellerRequest: _teller,
}


def told_in(answer: Any) -> Told:
    """The same part of a real answer."""
    if isinstance(answer, SignOnAnswer):
        is_on = answer.response_code == APPROVED
        return answer.response_code, answer.role.name.lower() if is_on else "", answer.must_change
    if isinstance(answer, PasswordAnswer):
        return answer.response_code, answer.must_change
    if isinstance(answer, TellerAnswer):
        return answer.response_code, answer.operator
    assert isinstance(answer, PasswordChangeAnswer)
    return (answer.response_code,)


Knowledge = tuple[dict[int, list[Team]], dict[tuple[int, str], list[int]]]


class Staff:
    """See the module's docstring."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._world = simulation.world
        self._teams: dict[int, list[Team]] = {}
        """Merchant -> what its people may be."""
        self._prices: dict[tuple[int, str], list[int]] = {}
        """Merchant and code -> what it may cost; 0: nothing has this code."""
        self._versions: dict[str, tuple[int, int, int]] = {}
        """Of the stop list and of the configuration: era, changes until then, and the version told."""

    # --- What the simulation's people know

    def team(self, merchant: int) -> Team:
        """A merchant's people, as well as anybody knows."""
        return self._of(merchant)[0]

    def price(self, merchant: int, code: str) -> int:
        """What something costs, as well as anybody knows; 0: nothing has this code."""
        return self._prices.get((merchant, code), [0])[0]

    def mark(self) -> Knowledge:
        """Where things stand, for `go_back`."""
        return {merchant: [*teams] for merchant, teams in self._teams.items()}, dict(self._prices)

    def go_back(self, mark: Knowledge) -> None:
        """The host came back from a backup made at `mark`."""
        teams, prices = mark
        self._teams, self._prices = {merchant: [*teams] for merchant, teams in teams.items()}, dict(prices)

    def _of(self, merchant: int) -> list[Team]:
        return self._teams.setdefault(merchant, [first_team()])

    # --- What the office does

    def open_desk(self, merchant: int, what: Callable[[], Any], change: Callable[[Team], Team]) -> Any:
        """The office does something about a merchant's people; `change` says what, `what` does it at the host."""
        teams = self._of(merchant)
        after = [change(team) for team in teams]
        return self._do(what, lambda possible: self._teams.update({merchant: _without_copies(possible)}), teams, after)

    def set_price(self, merchant: int, code: str, price_fen: int, what: Callable[[], Any]) -> Any:
        """The office sets what something costs; 0: no longer sold."""
        before = self._prices.get((merchant, code), [0])
        keep = lambda possible: self._prices.update({(merchant, code): _without_copies(possible)})  # noqa: E731
        return self._do(what, keep, before, [price_fen])

    def _do(self, what: Callable[[], Any], keep: Callable[[list[T]], None], before: list[T], after: list[T]) -> Any:
        try:
            done = what()
        except ValueError:
            raise  # refused: nothing has changed
        except BaseException:
            keep([*before, *after])
            raise
        keep(after)
        return done

    # --- What a terminal is answered

    def watch(self, desk: Desk, terminal_id: int, asked: Message, run: Callable[[], Message]) -> Message:
        """Have the host answer, and judge it."""
        merchant = self._simulation.office.merchant_of[terminal_id]
        try:
            answer = run()
        except BaseException:
            if type(asked) in ANSWERS:
                self._split(merchant, asked)
            raise
        code = getattr(answer, "response_code", APPROVED)
        self._world.counts[f"{type(asked).__name__} {code}"] += 1
        if self._may(terminal_id, merchant, code):
            self._judge(desk, terminal_id, merchant, asked, answer)
        return answer

    def _split(self, merchant: int, asked: Message) -> None:
        teams = self._of(merchant)
        self._teams[merchant] = _without_copies([*teams, *(ANSWERS[type(asked)](team, asked)[1] for team in teams)])

    def _may(self, terminal_id: int, merchant: int, code: str) -> bool:
        """Whether the terminal may ask at all, and was told so."""
        office = self._simulation.office
        refused = ""
        if office.newest("merchant", merchant) == "closed":
            refused = CLOSED
        if office.newest("terminal", terminal_id) == "revoked":
            refused = REVOKED
        if self._simulation.clerks.undecided:
            return code not in (REVOKED, CLOSED)  # a change that a dying host has made or not
        told = code if code in (REVOKED, CLOSED) else ""
        self._world.check(told == refused, "I10", f"terminal {terminal_id}: told {code}, expected {refused or 'else'}")
        return not told and not refused

    def _judge(self, desk: Desk, terminal_id: int, merchant: int, asked: Message, answer: Message) -> None:
        if isinstance(asked, ProductRequest):
            self._judge_price(merchant, asked, answer)
            return
        told = told_in(answer)
        outcomes = [ANSWERS[type(asked)](team, asked) for team in self._of(merchant)]
        fitting = [after for expected, after in outcomes if expected == told]
        expected = [expected for expected, _ in outcomes]
        # A request shows no password, not even here.
        what = f"{type(asked).__name__} of operator {getattr(asked, 'operator', 0)} at merchant {merchant}"
        self._world.check(bool(fitting), "I10", f"{what}: told {told}, expected {expected}")
        self._teams[merchant] = _without_copies(fitting or [after for _, after in outcomes])
        if isinstance(answer, SignOnAnswer) and answer.response_code == APPROVED:
            self._judge_day(desk, terminal_id, merchant, answer)

    def _judge_price(self, merchant: int, asked: ProductRequest, answer: Message) -> None:
        assert isinstance(answer, ProductAnswer)
        possible = self._prices.get((merchant, asked.code), [0])
        told = answer.price_fen if answer.response_code == APPROVED else 0
        right = told in possible and answer.response_code in (APPROVED, UNKNOWN)
        self._world.check(right, "I2", f"price of {asked.code} at merchant {merchant}: {answer}, expected {possible}")
        if right:
            self._prices[merchant, asked.code] = [told]

    def _judge_day(self, desk: Desk, terminal_id: int, merchant: int, answer: SignOnAnswer) -> None:
        """I15: what sign-on brings is what counts at that moment."""
        simulation, oracle = self._simulation, self._simulation.oracle
        office, where = simulation.office, f"sign-on at terminal {terminal_id}"
        [(day,)] = desk.ledger.store.execute("SELECT max(day) FROM business_days")
        expected = (simulation.host.now_ms(), day, merchant)
        told = (answer.host_time_ms, answer.business_day, answer.merchant_number)
        self._world.check(told == expected, "I15", f"{where}: time, day, merchant {told}, expected {expected}")
        least, most = oracle.batch_of(terminal_id)
        mine = [device for device in simulation.all_devices if device.terminal_id == terminal_id]
        most = max(most, *(device.image.used[0] for device in mine))
        right = max(1, least) <= answer.batch <= most
        self._world.check(right, "I15", f"{where}: batch {answer.batch}, expected {least}..{most}")
        if not simulation.clerks.undecided:
            self._judge_version("stop list", office.stops, answer.stop_list_version)
            self._judge_version("configuration", office.terms, answer.config_version)

    def _judge_version(self, what: str, changes: int, version: int) -> None:
        """It grows when something has changed, and only then."""
        era = self._simulation.office.era
        before = self._versions.get(what)
        if before is not None and before[0] == era:
            right = version == before[2] if changes == before[1] else version > before[2]
            text = f"{what}: version {version} after {changes - before[1]} changes, {before[2]} before them"
            self._world.check(right, "I15", text)
        self._versions[what] = era, changes, version


def _without_copies(possible: list[T]) -> list[T]:
    found: list[T] = []
    for one in possible:
        if one not in found:
            found.append(one)
    return found
