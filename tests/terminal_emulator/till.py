"""A terminal's brain on a test bench, and a toy host of one dict: it is written from the rules, not from the server."""

from __future__ import annotations

import msgspec

from protocol import TerminalNumber
from protocol.messages import (
    EchoAnswer,
    EchoRequest,
    LookupAnswer,
    LookupRequest,
    MoneyAnswer,
    MoneyRequest,
    OperatorRole,
    ParametersAnswer,
    ParametersRequest,
    PasswordAnswer,
    PasswordChangeAnswer,
    PasswordChangeRequest,
    PasswordRequest,
    QueryAnswer,
    QueryRequest,
    Ready,
    Reject,
    ReversalAnswer,
    ReversalRequest,
    SaleAnswer,
    SignOnAnswer,
    SignOnRequest,
    TellerAction,
    TellerAnswer,
    TellerRequest,
    TransactionState,
    UploadAnswer,
    UploadRequest,
    UploadVerdict,
)
from protocol.messages.password import PasswordPurpose
from terminal_emulator.brain import Brain
from terminal_emulator.effects import Beep, ChangeNumber, HangUp, Key, Note, Now, Outcome, PrintReport, PrintSlip, Send
from terminal_emulator.flows.requests import MESSAGES
from terminal_emulator.settings import Settings
from terminal_emulator.storage import MemoryStorage

CARD = bytes.fromhex("04A1B2C3")
WALL_S = 1_760_000_000.0
POSTED_MS = 1_760_000_000_123
NUMBER = TerminalNumber(3, 58)

KINDS = {request: (kind, answer) for kind, (request, answer) in MESSAGES.items()}
SUPERVISOR = PasswordPurpose.SUPERVISOR
TAKES_MONEY = frozenset({"SALE", "PREAUTH", "TOPUP_VOID", "POINTS_SALE"})
"""Of the others the payer has more afterwards. A completion takes what was held already."""


def settings_of(number=NUMBER, root_key=bytes(range(32)), **changes):
    return Settings(terminal=number, root_key=root_key, key_version=1, operator=7, **changes)


def ready_of(last=(0, 0), *, config_version=0, **changes):
    return Ready(
        host_time_ms=POSTED_MS,
        business_day=20251120,
        config_version=config_version,
        sale_limit_fen=0,
        last_batch=last[0],
        last_stan=last[1],
        merchant_number=12,
        merchant_name="一食堂",
        **changes,
    )


class ToyHost:
    """One dict: (terminal, batch, stan) -> what was decided. `balance_fen` is what every payer starts with."""

    def __init__(self, balance_fen=10_000_000_000):
        self.decided = {}
        self.asked = {}
        self.states = {}
        self.balances = {}
        self.moved = {}
        self.balance_fen = balance_fen
        self.sales_posted = 0
        self.next_rrn = 1
        self.newest = {}
        self.takes_uploads = True
        self.passwords = {
            (SUPERVISOR, 0): "123456",
            (PasswordPurpose.RECHARGE, 0): "111111",
            (PasswordPurpose.OPERATOR, 1): "0000",
        }
        self.must_change = set()
        self.config_version = 0
        self.parameters = {}
        self.batch = 1
        self.tellers = {}
        self.refusals = []
        """Codes that the next new requests for money are declined with."""

    def charged(self, key):
        """How often the payer is charged for this identity, in the end."""
        return 1 if self.states.get(key) is TransactionState.APPROVED else 0

    def answer(self, number, request):
        key = (number, getattr(request, "batch", 0), getattr(request, "stan", 0))
        if isinstance(request, EchoRequest):
            return EchoAnswer(host_time_ms=POSTED_MS, business_day=20251120, config_version=self.config_version)
        if isinstance(request, QueryRequest):
            return self._query(key, request)
        if isinstance(request, UploadRequest):
            return self._upload(key, request)
        if isinstance(request, ParametersRequest):
            return ParametersAnswer(config_version=self.config_version, **self.parameters)
        if isinstance(request, PasswordRequest | PasswordChangeRequest | SignOnRequest):
            return self._password(request)
        if isinstance(request, TellerRequest):
            return self._teller(request)
        if isinstance(request, LookupRequest):
            return self._lookup((number, request.original_batch, request.original_stan))
        if not isinstance(request, MoneyRequest | ReversalRequest):
            return reject_of(request, "40")
        self.newest[number] = max(self.newest.get(number, (0, 0)), key[1:])
        return self._money(key, request) if isinstance(request, MoneyRequest) else self._reverse(key, request)

    def _money(self, key, request):
        kind, answer = KINDS[type(request)]
        if self.asked.setdefault(key, content_of(request)) != content_of(request):
            return answer(
                stan=request.stan,
                batch=request.batch,
                amount_fen=request.amount_fen,
                response_code="94",
                rrn=0,
                balance_fen=0,
                posted_at_ms=0,
            )
        if key not in self.decided:
            balance = self.balances.setdefault(request.payer, self.balance_fen)
            moves_fen = 0 if kind.name == "COMPLETION" else request.amount_fen
            if kind.name in TAKES_MONEY:
                moves_fen = -moves_fen
            refusal = self.refusals.pop(0) if self.refusals else "51"
            approved = balance + moves_fen >= 0 and refusal == "51"
            if approved:
                balance = self.balances[request.payer] = balance + moves_fen
                self.moved[key] = moves_fen
                self.sales_posted += 1
            self.states[key] = TransactionState.APPROVED if approved else TransactionState.DECLINED
            self.decided[key] = answer(
                stan=request.stan,
                batch=request.batch,
                amount_fen=request.amount_fen,
                response_code="00" if approved else refusal,
                charged_fen=request.amount_fen if approved else 0,
                rrn=self._rrn(),
                balance_fen=balance,
                posted_at_ms=POSTED_MS,
            )
        return self.decided[key]

    def _password(self, request):
        """People: (purpose, operator) -> password, and who has to change it."""
        purpose = getattr(request, "purpose", PasswordPurpose.OPERATOR if request.operator else SUPERVISOR)
        key = (purpose, request.operator)
        keyed = getattr(request, "password", None) or request.old_password
        code = "00" if self.passwords.get(key) == keyed else "55"
        if isinstance(request, PasswordChangeRequest):
            if code == "00" and request.new_password == keyed:
                code = "F5"
            if code == "00":
                self.passwords[key] = request.new_password
                self.must_change.discard(key)
            return PasswordChangeAnswer(response_code=code)
        must_change = int(code == "00" and key in self.must_change)
        if isinstance(request, PasswordRequest):
            return PasswordAnswer(response_code=code, must_change=must_change)
        if code != "00":
            return SignOnAnswer(response_code=code)
        return SignOnAnswer(
            response_code=code,
            role=OperatorRole.SUPERVISOR if purpose is SUPERVISOR else OperatorRole.TELLER,
            must_change=must_change,
            operator_name="王",
            host_time_ms=POSTED_MS,
            business_day=20251121,
            batch=self.batch,
            config_version=self.config_version,
            merchant_number=12,
            merchant_name="一食堂",
        )

    def _lookup(self, key):
        found = self.decided.get(key)
        if found is None or not isinstance(found, MoneyAnswer):
            return LookupAnswer(response_code="25")
        kind = next(kind for kind, (_, answer) in MESSAGES.items() if type(found) is answer)
        return LookupAnswer(
            response_code="00",
            state=self.states[key],
            kind=kind,
            original_terminal=key[0].to_int(),
            original_batch=key[1],
            original_stan=key[2],
            amount_fen=found.amount_fen,
            charged_fen=found.charged_fen,
            remaining_fen=found.charged_fen,
            rrn=found.rrn,
            posted_at_ms=found.posted_at_ms,
            business_day=20251120,
        )

    def _teller(self, request):
        if request.supervisor_password != self.passwords[SUPERVISOR, 0]:
            return TellerAnswer(response_code="55")
        operator = request.operator
        if request.action is TellerAction.NEXT:
            operator = min((number for number in self.tellers if number > operator), default=0)
        elif request.action is TellerAction.ADD and operator not in self.tellers:
            self.tellers[operator] = request.new_password
        elif request.action is TellerAction.DELETE and operator in self.tellers:
            del self.tellers[operator]
        else:
            return TellerAnswer(response_code="F5" if operator in self.tellers else "25")
        return TellerAnswer(response_code="00" if operator else "25", operator=operator, name="李" if operator else "")

    def _reverse(self, key, request):
        given_back = 0
        if self.states.get(key) is TransactionState.APPROVED:
            given_back = request.amount_fen
            self.balances[request.payer] -= self.moved[key]
        if key not in self.decided:
            self.decided[key] = SaleAnswer(
                stan=request.stan,
                batch=request.batch,
                amount_fen=request.amount_fen,
                response_code="68",
                rrn=self._rrn(),
                balance_fen=0,
                posted_at_ms=POSTED_MS,
            )
        if self.states.get(key) is not TransactionState.DECLINED:
            self.states[key] = TransactionState.REVERSED
        return ReversalAnswer(
            stan=request.stan,
            batch=request.batch,
            reversed_fen=given_back,
            response_code="00",
            rrn=self._rrn(),
            balance_fen=0,
            posted_at_ms=POSTED_MS,
        )

    def _upload(self, key, request):
        state = self.states.get(key)
        verdict = {
            TransactionState.APPROVED: UploadVerdict.KNOWN,
            TransactionState.REVERSED: UploadVerdict.REVERSED,
            TransactionState.DECLINED: UploadVerdict.CONFLICT,
            None: UploadVerdict.RESTORED if self.takes_uploads else UploadVerdict.NOT_OPEN,
        }[state]
        if self.asked.get(key, content_of(request)) != content_of(request):
            verdict = UploadVerdict.CONFLICT
        if verdict is UploadVerdict.RESTORED:
            self.states[key], self.asked[key] = TransactionState.APPROVED, content_of(request)
            self.balances[request.payer] = self.balances.get(request.payer, self.balance_fen) - request.amount_fen
            self.moved[key] = -request.amount_fen
            self.sales_posted += 1
            self.decided[key] = SaleAnswer(
                stan=request.stan,
                batch=request.batch,
                amount_fen=request.amount_fen,
                response_code="00",
                charged_fen=request.charged_fen,
                rrn=self._rrn(),
                balance_fen=self.balances[request.payer],
                posted_at_ms=POSTED_MS,
            )
            self.newest[key[0]] = max(self.newest.get(key[0], (0, 0)), key[1:])
        return UploadAnswer(
            stan=request.stan,
            batch=request.batch,
            amount_fen=request.amount_fen,
            verdict=verdict,
            response_code=UPLOAD_CODES[verdict],
            rrn=self._rrn(),
        )

    def _query(self, key, request):
        state = self.states.get(key, TransactionState.NEVER_SEEN)
        sale = self.decided.get(key)
        code = sale.response_code if sale else "25"
        if self.asked.get(key, content_of(request)) != content_of(request):
            state, sale, code = TransactionState.DECLINED, None, "94"
        return QueryAnswer(
            stan=key[2],
            batch=key[1],
            state=state,
            response_code=code,
            amount_fen=request.amount_fen,
            charged_fen=sale.charged_fen if sale else 0,
            rrn=sale.rrn if sale else 0,
            balance_fen=sale.balance_fen if sale else 0,
            posted_at_ms=sale.posted_at_ms if sale else 0,
        )

    def _rrn(self):
        self.next_rrn += 1
        return self.next_rrn - 1


UPLOAD_CODES = {
    UploadVerdict.RESTORED: "00",
    UploadVerdict.KNOWN: "00",
    UploadVerdict.REVERSED: "68",
    UploadVerdict.CONFLICT: "94",
    UploadVerdict.NOT_OPEN: "58",
    UploadVerdict.UNDECIDED: "09",
}


def content_of(request):
    """What a number stands for once it has been used."""
    return request.amount_fen, request.payer


def reject_of(request, code="30"):
    return Reject(
        rejected_mti=request.layout.mti,
        rejected_processing_code=request.layout.processing_code,
        response_code=code,
        offset=17,
        field="stan",
        expected="1..999999",
        got="0",
    )


def spell(effect):
    """An effect in one or two words, so that a table of a whole conversation can be read."""
    if isinstance(effect, Send):
        request = effect.message
        return f"{type(request).__name__.removesuffix('Request')} {getattr(request, 'stan', '')}".strip()
    if isinstance(effect, Beep):
        return f"beep {effect.kind}"
    if isinstance(effect, Outcome):
        return f"outcome {effect.record.state} {effect.record.stan}"
    if isinstance(effect, Note):
        return f"note {effect.kind}"
    if isinstance(effect, ChangeNumber):
        return f"number {effect.terminal}"
    assert isinstance(effect, PrintSlip | PrintReport | HangUp)
    return "hang up" if isinstance(effect, HangUp) else "slip"


class Till:
    """A brain with its memory and a clock that the test moves. `said` collects what the effects spell."""

    def __init__(self, storage=None, *, settings=None, jitter=lambda: 0.5):
        self.storage = MemoryStorage() if storage is None else storage
        self.settings = settings or settings_of()
        self.jitter = jitter
        self.time_s = 100.0
        self.effects = []
        self.power_on()

    def power_on(self):
        """Also after a power cut: only the storage stays."""
        self.brain = Brain(self.settings, self.storage, jitter=self.jitter)
        return self.take(self.brain.power_on(self.now))

    @property
    def now(self):
        return Now(self.time_s, WALL_S + self.time_s)

    @property
    def screen(self):
        return self.brain.view.screen.value

    def take(self, effects):
        self.effects += effects
        self.last = effects
        return [spell(effect) for effect in effects]

    @property
    def request(self):
        """The request sent last."""
        return next(effect.message for effect in reversed(self.effects) if isinstance(effect, Send))

    @property
    def outcomes(self):
        return [effect.record for effect in self.effects if isinstance(effect, Outcome)]

    def online(self, last=None, epoch=1, **ready):
        """`last` is what the host knows as newest: without it, the newest sale it has approved."""
        last = self.storage.newest_approved if last is None else last
        return self.take(self.brain.link_up(ready_of(last, **ready), self.now, epoch=epoch))

    def offline(self, link="lost"):
        return self.take(self.brain.link_down(link, self.now))

    def keys(self, text):
        """Digits and the point one by one; words name the other keys: "12.5 enter"."""
        said = []
        for word in text.split():
            for key in [word] if word in Key.__members__.values() else word:
                said += self.take(self.brain.key(Key(key), self.now))
        return said

    def tap(self, uid=CARD):
        return self.take(self.brain.tap(uid, self.now))

    def scan(self, text):
        return self.take(self.brain.scan(text, self.now))

    def do(self, words, host, number=NUMBER):
        """Keys as in `keys`, `tap` for the card; the host answers at once. What was said."""
        said = []
        for word in words.split():
            said += self.tap() if word == "tap" else self.keys(word)
            while not self.brain.is_line_free and self.brain.online:
                said += self.answer(host.answer(number, self.request))
        return said

    @property
    def panel(self):
        """What a dialog shows, without what stands empty."""
        return [line.strip() for line in self.brain.view.panel if line.strip()]

    def answer(self, message):
        return self.take(self.brain.answer(message, self.now))

    def wait(self, seconds):
        """Let time pass; `tick` comes exactly when the brain asked for it."""
        end_s = self.time_s + seconds
        said: list[str] = []
        while self.brain.deadline_s <= end_s:
            assert self.brain.deadline_s >= self.time_s or said == [], "a deadline that does not move is a busy loop"
            self.time_s = max(self.time_s, self.brain.deadline_s)
            before = self.brain.deadline_s
            said += self.take(self.brain.tick(self.now))
            assert self.brain.deadline_s > before, "a deadline that does not move is a busy loop"
        self.time_s = end_s
        return said

    def sell(self, amount="12.5"):
        """Key an amount and tap: what the tap said."""
        self.keys(f"{amount} enter")
        return self.tap()


def changed(message, **changes):
    return msgspec.structs.replace(message, **changes)
