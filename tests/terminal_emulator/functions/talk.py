"""A function's dialog, answered as a cashier, a customer and a host would: prompts out, replies in.

`Talk(dialog)` goes on until the dialog ends. Passwords and look-ups are answered by tables, so that a test names only
what it is about.
"""

from typing import Any

from msgspec.structs import replace

from protocol.messages import (
    LookupAnswer,
    LookupRequest,
    PasswordAnswer,
    PasswordRequest,
    TransactionState,
)
from protocol.messages.money import TransactionKind
from terminal_emulator.columns import columns
from terminal_emulator.dialog import Ask, Card, Digits, Payer, Print, Show, Stop, Transact
from terminal_emulator.effects import Now
from terminal_emulator.functions.passwords import PURPOSE_TEXT
from terminal_emulator.i18n import translator
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.record import Merchant, Record, RecordState
from terminal_emulator.storage import MemoryStorage
from terminal_emulator.till import Till
from terminal_emulator.view import Link
from tests.terminal_emulator.till import CARD, WALL_S, settings_of

ALICE = Payer(CARD)
HOME = object()
"""A reply: Clear is pressed."""
SALE = LookupAnswer(
    response_code="00",
    state=TransactionState.APPROVED,
    kind=TransactionKind.SALE,
    original_terminal=settings_of().terminal.to_int(),
    original_batch=1,
    original_stan=7,
    amount_fen=1250,
    charged_fen=1250,
    remaining_fen=1250,
    rrn=4711,
    posted_at_ms=1,
    business_day=20261118,
)


def till_of(*records: Record, language="zh") -> Till:
    storage = MemoryStorage()
    for record in records:
        storage.save(replace(record, state=RecordState.PENDING))
        storage.save(record)
    till = Till(settings_of(), storage, translator(language))
    till.link, till.now, till.merchant = Link.ONLINE, Now(100.0, WALL_S), Merchant(100001, "一食堂")
    return till


def record_of(stan=7, kind=TransactionKind.SALE, **changes) -> Record:
    record = Record(
        kind=kind,
        batch=1,
        stan=stan,
        amount_fen=1250,
        payer=CARD,
        claimed_at_s=int(WALL_S),
        state=RecordState.APPROVED,
        response_code="00",
        rrn=4711,
        posted_at_ms=1000 * int(WALL_S),
        balance_fen=8750,
    )
    return replace(record, **changes)


def texts_of(prompt: Any) -> list[str]:
    """Every line that a prompt shows whole: a line that does not fit would be cut."""
    lines = [getattr(prompt, name, "") for name in ("title", "label", "waiting_text")]
    lines += getattr(prompt, "lines", ())
    lines += [f"{key}.{label}" for key, label in getattr(prompt, "rows", ())]
    return lines + [line for page in getattr(prompt, "pages", ()) for line in page]


class Talk:
    """`replies` answer the questions in their order; cards are Alice's, the host approves but for `decide`.

    `host` has the answer to each type of request, or what makes it; without one there is none. `decide` may be a
    function, too.
    """

    def __init__(self, till: Till, dialog, *replies: Any, host=None, decide=None) -> None:
        self.till = till
        self.passwords: list[int] = []
        self.asked: list[Any] = []
        self.printed: list[Any] = []
        self.shown: list[tuple[str, ...]] = []
        self.prompts: list[Any] = []
        self.records: list[Record] = []
        self._host = {LookupRequest: SALE, **(host or {})}
        self._decide = decide or {}
        left = list(replies)
        generator = dialog(till)
        try:
            prompt = next(generator)
            while True:
                self.prompts.append(prompt)
                assert [text for text in texts_of(prompt) if columns(text) > PANEL_COLUMNS] == [], prompt
                reply = self._reply(prompt, left)
                if reply is HOME:
                    generator.close()
                    break
                prompt = generator.send(reply)
        except (StopIteration, Stop):
            pass
        assert left == [], "replies nobody asked for"

    def _reply(self, prompt: Any, left: list[Any]) -> Any:
        match prompt:
            case Digits(title) if title in map(self.till.translate, PURPOSE_TEXT.values()):
                return "123456"
            case Ask(PasswordRequest() as request):
                self.passwords.append(request.purpose)
                return PasswordAnswer(response_code="00", must_change=0)
            case Ask(message):
                self.asked.append(message)
                answer = self._host.get(type(message))
                return answer() if callable(answer) else answer
            case Transact(record):
                self.till.storage.save(record)
                done = replace(record, **{"state": RecordState.APPROVED, "response_code": "00", **self._decided()})
                self.till.storage.save(done)
                self.records.append(done)
                return done
            case Print(report):
                self.printed.append(report)
                return None
            case Show(lines):
                self.shown.append(lines)
                return None
            case Card() if not (left and isinstance(left[0], Payer)):
                return ALICE
        assert left, f"no reply for {prompt}"
        return left.pop(0)

    def _decided(self) -> dict[str, Any]:
        return self._decide() if callable(self._decide) else self._decide

    @property
    def moved(self) -> list[tuple[TransactionKind, int, tuple[int, int, int]]]:
        """(kind, amount, original) of every transaction."""
        return [
            (record.kind, record.amount_fen, (record.original_terminal, record.original_batch, record.original_stan))
            for record in self.records
        ]
