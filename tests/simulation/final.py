"""The last phase of a run: every unknown is resolved by asking, through real sessions, what became of it.

Every identity anybody ever used is queried, and what was decided is sent again: the answers must be those of the first
time (I5), and together they must account for every transfer in the ledger.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from msgspec.structs import replace

from protocol.messages import (
    BalanceAnswer,
    BalanceRequest,
    EntryMode,
    FollowUpRequest,
    LookupAnswer,
    LookupRequest,
    Message,
    MoneyRequest,
    OfflineSaleAnswer,
    OfflineSaleRequest,
    OfflineVerdict,
    PasswordChangeRequest,
    PasswordPurpose,
    QueryRequest,
    ReversalRequest,
    SignOnRequest,
    StopAction,
    StopListAnswer,
    StopListRequest,
    TellerAction,
    TellerRequest,
)
from protocol.messages.money import MAX_STAN, NO_PIN_BLOCK
from protocol.messages.offline import TAG_SIZE
from tests.simulation.campus import Device, stop_hash
from tests.simulation.model import Model
from tests.simulation.network import Line
from tests.simulation.oracle import REQUESTS, Case, Content, Identity
from tests.simulation.probe import NoAnswer, Probe
from tests.simulation.staff import FIRST_PASSWORDS, RECHARGE, SUPERVISOR, Team
from tests.simulation.wallet import code_at, draw_pin

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

INQUIRING: Final = 3
INQUIRIES: Final = 12
"""Terminals that ask for balances and look things up in the end, and how often each."""
FOLLOW_UPS: Final = 5
LATER: Final = {
    "sale": ("void", "refund"),
    "preauth": ("preauth_void", "preauth_void", "completion"),
    "completion": ("completion_void", "refund"),
    "topup": ("topup_void",),
    "points_sale": ("points_void",),
}
"""What may be wanted about each."""
STAFF_REQUESTS: Final = 24
LAST_BATCH: Final = 999_999
"""No terminal comes so far."""
FAR_AHEAD: Final = 1_000_000_000
"""Number of an offline record, likewise."""
REVERSED_SHARE: Final = 0.3
"""Of the refused sales that are asked about again, so many are reversed, too."""


class FinalReads:
    """Asks again. Copies of ordinary sales are sent by chance `share`, those of eventful ones always."""

    def __init__(self, simulation: Simulation, share: float) -> None:
        self._simulation = simulation
        self._oracle = simulation.oracle
        self._share = share
        self._rng: Random = simulation.world.rng("final")

    async def run(self) -> None:
        """All terminals, one after the other."""
        cases: dict[int, list[tuple[Identity, Case]]] = {}
        for identity, case in sorted(self._oracle.cases.items()):
            cases.setdefault(identity[0], []).append((identity, case))
        for device in self._simulation.devices:
            try:
                await self._read(device, cases.get(device.terminal_id, []))
            except Exception as error:
                self._simulation.world.violate("I21", f"{device.name}: cannot be read at the end: {error!r}")

    async def _read(self, device: Device, cases: list[tuple[Identity, Case]]) -> None:
        line = Line(self._simulation.world, f"final {device.name}", self._simulation.host.accept)
        with trio.fail_after(36_000):
            probe = await self._open(device, line)
            try:
                assert probe.ready is not None
                self._oracle.ready(f"{device.name} final", device.terminal_id, probe.ready, probe.epoch)
                for identity, case in cases:
                    await self._ask_again(probe, device, identity, case)
                await self._reverse_first(probe, device)
                await self._say_otherwise(probe, device, cases)
                await self._follow_up(probe, device, cases)
                await self._sell_into_the_past(probe, device)
                await self._upload_wrongly(probe, device)
            finally:
                await probe.close()

    async def inquire(self, model: Model) -> None:
        """Balances and look-ups: questions that leave no trace, answered as the model would."""
        identities = [*self._oracle.cases]
        cards = [*self._simulation.office.owner]
        for device in self._simulation.devices[:INQUIRING]:
            line = Line(self._simulation.world, f"inquiry {device.name}", self._simulation.host.accept)
            with trio.fail_after(36_000):
                probe = await self._open(device, line)
                try:
                    for card in self._rng.sample(cards, min(len(cards), INQUIRIES)):
                        await self._ask_balance(probe, model, device.terminal_id, card)
                    for identity in self._rng.sample(identities, min(len(identities), INQUIRIES)):
                        await self._look_up(probe, model, device.terminal_id, identity)
                    await self._employ(probe, device.terminal_id)
                    await self._read_stop_list(probe)
                finally:
                    await probe.close()

    async def _ask_balance(self, probe: Probe, model: Model, terminal_id: int, card: bytes) -> None:
        """With the right PIN, a wrong one, or none; with a code of now or of a while ago, or the bare number."""
        rng, now_ms, pin = self._rng, self._simulation.host.now_ms(), ""
        entry_mode, payer = EntryMode.CARD, card
        secret = self._simulation.office.phones.get(card)
        if secret is not None and rng.random() < 0.8:
            entry_mode, payer = EntryMode.CODE, code_at(secret, card.decode(), now_ms // 1_000 - rng.choice((0, 600)))
        elif rng.random() < 0.5:
            pin = self._simulation.workload.pin_of(card) if rng.random() < 0.5 else draw_pin(rng)
        block = probe.pin_block(pin, payer) if pin else NO_PIN_BLOCK
        answer = await probe.ask(BalanceRequest(entry_mode=entry_mode, payer=payer, pin_block=block))
        assert isinstance(answer, BalanceAnswer)
        told = (answer.response_code, answer.balance_fen, answer.held_fen, answer.points)
        expected = model.balance(terminal_id, Content(0, payer, 0, 0, entry_mode.value), pin, now_ms)
        self._simulation.world.check(told == expected, "I2", f"balance of {card.hex()}: {told}, expected {expected}")

    async def _read_stop_list(self, probe: Probe) -> None:
        """T5: from the beginning, as a new terminal reads it."""
        status: dict[bytes, str] = {}
        for change in self._simulation.office.changes:
            if change.what == "card":
                assert isinstance(change.key, bytes)
                status[change.key] = str(change.value)
        expected = {stop_hash(card) for card, value in status.items() if value != "active"}
        held: set[bytes] = set()
        version, newest = 0, 1
        while version < newest:
            answer = await probe.ask(StopListRequest(version=version))
            assert isinstance(answer, StopListAnswer)
            version, newest = answer.version, answer.newest
            for row in answer.changes:
                (held.add if row.action is StopAction.STOPPED else held.discard)(row.token_hash)
            if not answer.changes:
                break
        text = f"{len(expected - held)} missing, {len(held - expected)} too many, of {len(expected)}"
        self._simulation.world.check(held == expected, "T5", f"stop list: {text}")

    async def _employ(self, probe: Probe, terminal_id: int) -> None:
        """People come, change passwords, try the old ones, sign on and go; whoever answers is judged by `staff`. Wrong
        passwords in a row lock a number for all terminals of the merchant."""
        for _ in range(STAFF_REQUESTS):
            team = self._simulation.staff.team(self._simulation.office.merchant_of[terminal_id])
            await probe.ask(self._rng.choice((self._sign_on, self._change_password, self._manage))(team))

    def _password_of(self, team: Team, number: int) -> str:
        """Mostly the right one; of somebody who has gone the one everybody begins with."""
        right = team[number].password if number in team else FIRST_PASSWORDS["teller"]
        return right if self._rng.random() < 0.8 else "8" * self._rng.randrange(4, 9)

    def _sign_on(self, team: Team) -> Message:
        operator = self._rng.choice((SUPERVISOR, 1, 2, 3, 57))
        return SignOnRequest(operator=operator, password=self._password_of(team, operator))

    def _change_password(self, team: Team) -> Message:
        purpose = self._rng.choice([*PasswordPurpose])
        operator = self._rng.choice((1, 2)) if purpose is PasswordPurpose.OPERATOR else SUPERVISOR
        old = self._password_of(team, RECHARGE if purpose is PasswordPurpose.RECHARGE else operator)
        new = self._rng.choice((old, "135790", "2468", *FIRST_PASSWORDS.values()))
        return PasswordChangeRequest(purpose=purpose, operator=operator, old_password=old, new_password=new)

    def _manage(self, team: Team) -> Message:
        return TellerRequest(
            action=self._rng.choice([*TellerAction]),
            supervisor_password=self._password_of(team, SUPERVISOR),
            operator=self._rng.choice((0, 1, 2, 2, 3)),
        )

    async def _look_up(self, probe: Probe, model: Model, terminal_id: int, identity: Identity) -> None:
        terminal, batch, stan = identity
        answer = await probe.ask(LookupRequest(original_terminal=terminal, original_batch=batch, original_stan=stan))
        assert isinstance(answer, LookupAnswer)
        code, *expected = model.look_up(terminal_id, identity)
        told = [answer.state.name.lower(), answer.charged_fen, answer.remaining_fen]
        right = told == expected and (not code or code == answer.response_code)
        self._simulation.world.check(right, "I2", f"look-up of {identity}: {answer}, expected {code} {expected}")

    async def _open(self, device: Device, line: Line) -> Probe:
        """A session under whichever of the terminal's keys is in force."""
        settings = device.settings
        if settings.next_key_version:
            following = msgspec.structs.replace(
                settings,
                root_key=settings.next_root_key,
                key_version=settings.next_key_version,
                next_root_key=b"",
                next_key_version=0,
            )
            probe = Probe(following, line, self._rng)
            try:
                await probe.open()
            except (NoAnswer, trio.BrokenResourceError):
                await probe.close()
            else:
                return probe
        probe = Probe(settings, line, self._rng)
        await probe.open()
        return probe

    async def _ask(self, probe: Probe, device: Device, request: Message) -> Message:
        answer = await probe.ask(request)
        self._oracle.heard(f"{device.name} final", device.terminal_id, request, answer)
        return answer

    async def _ask_again(self, probe: Probe, device: Device, identity: Identity, case: Case) -> None:
        plain = case.said is not None and case.reversal is None and len(case.asked) == 1
        if plain and self._rng.random() >= self._share:
            return
        for content in [*case.asked]:
            await self._ask(probe, device, query_of(identity, content))
        if case.reversed:
            content = case.content or next(iter(case.asked))
            await self._ask(probe, device, reversal_of(identity, content))
        if case.said is not None or case.reversed:
            for content in [*case.asked]:
                if content.kind in REQUESTS:
                    await self._ask(probe, device, request_of(identity, content))
        if case.said is not None and case.said.code not in ("00", "68") and self._rng.random() < REVERSED_SHARE:
            # No honest terminal does this: there is nothing to give back.
            await self._ask(probe, device, reversal_of(identity, case.content or next(iter(case.asked))))

    async def _reverse_first(self, probe: Probe, device: Device) -> None:
        """I9: a reversal that comes before its original, of whatever kind."""
        identity = (device.terminal_id, LAST_BATCH, 1)
        payer, kind = self._rng.choice([*self._simulation.office.owner]), self._rng.choice([*REQUESTS])
        original = (device.terminal_id, 1, 1) if issubclass(REQUESTS[kind], FollowUpRequest) else None
        content = Content(100, payer, 1, 0, EntryMode.CARD.value, kind, original)
        self._oracle.case(identity).asked[content] = None
        for request in (reversal_of, request_of, query_of, reversal_of):
            await self._ask(probe, device, request(identity, content))

    async def _say_otherwise(self, probe: Probe, device: Device, cases: list[tuple[Identity, Case]]) -> None:
        """T3: a number that stands for a sale comes with another amount."""
        decided = [
            (identity, case)
            for identity, case in cases
            if case.said is not None and case.content is not None and case.content.kind in REQUESTS
        ]
        if not decided:
            return
        identity, case = self._rng.choice(decided)
        assert case.content is not None
        other = case.content._replace(amount_fen=case.content.amount_fen + 1)
        await self._ask(probe, device, request_of(identity, other))
        await self._ask(probe, device, query_of(identity, other))

    async def _follow_up(self, probe: Probe, device: Device, cases: list[tuple[Identity, Case]]) -> None:
        """I8: what is undone, paid out or used up already is wanted once more, or for the first time."""
        approved = [
            (identity, case.content)
            for identity, case in cases
            if case.said is not None and case.said.code == "00" and case.content is not None
        ]
        wanted = [(kind, identity, content) for identity, content in approved for kind in LATER.get(content.kind, ())]
        for number, (kind, identity, content) in enumerate(self._rng.sample(wanted, min(len(wanted), FOLLOW_UPS))):
            asked = content._replace(kind=kind, original=identity, claimed_at_s=1)
            await self._ask(probe, device, request_of((device.terminal_id, LAST_BATCH, 10 + number), asked))

    async def _sell_into_the_past(self, probe: Probe, device: Device) -> None:
        """I13: something new under the number of a batch that is closed."""
        settled = device.image.last_settlement
        if settled is not None:
            card = self._rng.choice([*self._simulation.office.owner])
            content = Content(100, card, 1, 0, EntryMode.CARD.value, self._rng.choice(("sale", "topup")))
            await self._ask(probe, device, request_of((device.terminal_id, settled.batch, MAX_STAN), content))

    async def _upload_wrongly(self, probe: Probe, device: Device) -> None:
        """I11: offline records that no honest terminal makes: one behind a gap, and one of a card that stands on the
        newest stop list."""
        office = self._simulation.office
        stopped = [card for card in office.owner if (office.newest("card", card) or "active") != "active"]
        listed = await probe.ask(StopListRequest(version=0))
        assert isinstance(listed, StopListAnswer)
        sale = OfflineSaleRequest(
            stan=2,
            batch=LAST_BATCH,
            amount_fen=100,
            payer=self._rng.choice([*office.owner]),
            claimed_at_s=1,
            saf_sequence=FAR_AHEAD,
            previous_tag=self._rng.randbytes(TAG_SIZE),
            tag=bytes(TAG_SIZE),
            stop_list_version=listed.newest,
        )
        stands = await self._ask(probe, device, sale)
        assert isinstance(stands, OfflineSaleAnswer)
        wanted, tag = stands.next_saf_sequence, stands.last_tag
        skipping = replace(sale, saf_sequence=wanted + 1, previous_tag=tag)
        answer = await self._ask(probe, device, probe.sealed(skipping))
        assert isinstance(answer, OfflineSaleAnswer)
        taken = answer.verdict is not OfflineVerdict.GAP
        self._simulation.world.check(not taken, "I11", f"{device.name}: {wanted + 1} is taken, and {wanted} is missing")
        if stopped and not taken:
            known = replace(sale, stan=3, payer=self._rng.choice(stopped), saf_sequence=wanted, previous_tag=tag)
            self._oracle.listed[device.terminal_id, LAST_BATCH, known.stan] = None
            await self._ask(probe, device, probe.sealed(known))


def query_of(identity: Identity, content: Content) -> QueryRequest:
    """What became of it?"""
    return QueryRequest(
        batch=identity[1],
        stan=identity[2],
        amount_fen=content.amount_fen,
        entry_mode=EntryMode(content.entry_mode),
        payer=content.payer,
        claimed_at_s=content.claimed_at_s,
    )


def request_of(identity: Identity, content: Content) -> MoneyRequest:
    """The same again."""
    said = {
        "batch": identity[1],
        "stan": identity[2],
        "amount_fen": content.amount_fen,
        "payer": content.payer,
        "claimed_at_s": content.claimed_at_s,
        "operator": content.operator,
        "entry_mode": EntryMode(content.entry_mode),
    }
    if content.original is not None:
        terminal_id, batch, stan = content.original
        said |= {
            "original_terminal": 0 if terminal_id == identity[0] else terminal_id,
            "original_batch": batch,
            "original_stan": stan,
        }
    kind = REQUESTS[content.kind]
    assert issubclass(kind, MoneyRequest)
    return kind(**said)


def reversal_of(identity: Identity, content: Content) -> ReversalRequest:
    """Its reversal."""
    return ReversalRequest(
        batch=identity[1],
        stan=identity[2],
        amount_fen=content.amount_fen,
        payer=content.payer,
        claimed_at_s=content.claimed_at_s,
        operator=content.operator,
        entry_mode=EntryMode(content.entry_mode),
    )
