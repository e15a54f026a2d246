"""What the terminals and the office have been told, and what follows from it. Dicts only; no line of the server's.

The oracle hears every answer as a terminal hears it and sees every change of a terminal's memory. What contradicts what
was said before is a violation at once; the rest is settled at the end, when `tests.simulation.model` goes through
everything decided, in the order of its numbers (RRN), and says what should have been answered.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from protocol.messages import (
    CompletionRequest,
    CompletionVoidRequest,
    EchoAnswer,
    Message,
    MoneyAnswer,
    MoneyRequest,
    OfflineSaleAnswer,
    OfflineSaleRequest,
    OfflineVerdict,
    PointsSaleRequest,
    PointsVoidRequest,
    PreAuthRequest,
    PreAuthVoidRequest,
    QueryAnswer,
    QueryRequest,
    Ready,
    RefundRequest,
    Reject,
    ReversalAnswer,
    ReversalRequest,
    SaleRequest,
    SignOnAnswer,
    TopUpRequest,
    TopUpVoidRequest,
    TransactionState,
    UploadAnswer,
    UploadRequest,
    UploadVerdict,
    VoidRequest,
)
from protocol.messages.money import TransactionKind
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settled import Settlement, Stage
from tests.simulation.world import World

UNDECIDED: Final = ("09", "96")
CONFLICT: Final = "94"
MISMATCH: Final = "64"

Identity = tuple[int, int, int]
"""Terminal, batch, STAN."""

KINDS: Final[dict[type[Message], str]] = {
    SaleRequest: "sale",
    VoidRequest: "void",
    RefundRequest: "refund",
    PreAuthRequest: "preauth",
    PreAuthVoidRequest: "preauth_void",
    CompletionRequest: "completion",
    CompletionVoidRequest: "completion_void",
    TopUpRequest: "topup",
    TopUpVoidRequest: "topup_void",
    PointsSaleRequest: "points_sale",
    PointsVoidRequest: "points_void",
    OfflineSaleRequest: "offline_sale",
}
"""What people ask for, by request; the words are those of the record in a terminal's memory."""
REQUESTS: Final = {kind: request for request, kind in KINDS.items() if issubclass(request, MoneyRequest)}
"""Those that are asked once, and answered at once."""

STEPS: Final = {
    RecordState.PENDING: (
        RecordState.APPROVED,
        RecordState.DECLINED,
        RecordState.REVERSING,
        RecordState.REPEATING,
    ),
    RecordState.REVERSING: (RecordState.REVERSED,),
    RecordState.REPEATING: (RecordState.APPROVED, RecordState.DECLINED),
    RecordState.OFFLINE: (RecordState.OFFLINE, RecordState.APPROVED, RecordState.REFUSED),
}
"""What may become of a sale in a terminal's memory; every other state is final."""
JUDGED_AGAIN: Final = (RecordState.APPROVED, RecordState.REFUSED)
"""What was sold offline goes up again after a restore, and may be judged otherwise."""
CHAINED: Final = (RecordState.OFFLINE, *JUDGED_AGAIN)
"""What may go up as an offline record."""

SENDABLE: Final = (RecordState.PENDING, RecordState.REPEATING)
UNDONE: Final = (RecordState.REVERSING, RecordState.REVERSED)


class Content(NamedTuple):
    """What a request for money says beside its identity."""

    amount_fen: int
    payer: bytes
    claimed_at_s: int
    operator: int
    entry_mode: int
    kind: str = "sale"
    original: Identity | None = None


class Said(NamedTuple):
    """A final answer: the same for ever."""

    code: str
    amount_fen: int
    rrn: int
    balance_fen: int | None
    """None: not said yet."""
    posted_at_ms: int | None
    charged_fen: int | None = None
    points: int | None = None
    points_balance: int | None = None

    def agrees(self, other: Said) -> bool:
        """Whether both can be true."""
        pairs = zip(self, other, strict=True)
        return all(one == another or one is None or another is None for one, another in pairs)


class Case:
    """Everything known under one identity."""

    __slots__ = (
        "asked",
        "conflicts",
        "content",
        "lost",
        "reversal",
        "reversed",
        "said",
        "states",
        "told",
        "upload",
        "uploaded",
    )

    def __init__(self) -> None:
        self.asked: dict[Content, None] = {}
        self.content: Content | None = None
        """The one that was decided."""
        self.said: Said | None = None
        self.conflicts: set[Content] = set()
        self.reversal: Said | None = None
        self.reversed = False
        """Somebody was told that the payer is not charged, for ever."""
        self.uploaded = False
        """It came back to a restored host from a terminal's memory."""
        self.upload = (0, 0)
        """What the terminal then said that it had charged, in fen, and the points."""
        self.lost = False
        """A restored host cannot take it back: what it is about has gone another way since."""
        self.states: dict[str, RecordState] = {}
        """The newest state in each device's memory."""
        self.told: list[RecordState] = []
        """The final words customers saw."""


def content_of(what: Any, terminal_id: int) -> Content:
    """Of a request for money, a query, an upload or a record of this terminal."""
    original = None
    if getattr(what, "original_batch", 0):
        original = (what.original_terminal or terminal_id, what.original_batch, what.original_stan)
    kind = getattr(what, "kind", None)
    return Content(
        what.amount_fen,
        what.payer,
        what.claimed_at_s,
        getattr(what, "operator", 0),
        int(getattr(what, "entry_mode", 1)),
        KINDS.get(type(what), "sale") if kind is None else kind.name.lower(),
        original,
    )


def said_in(answer: MoneyAnswer | QueryAnswer) -> Said:
    """What the host has said, for ever."""
    return Said(
        answer.response_code,
        answer.amount_fen,
        answer.rrn,
        answer.balance_fen,
        answer.posted_at_ms,
        answer.charged_fen,
        answer.points,
        answer.points_balance,
    )


class Oracle:
    """See the module's docstring."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cases: dict[Identity, Case] = {}
        self.pins: dict[tuple[Identity, Content], str] = {}
        """What payers keyed; it goes with every copy of their request, and is in nobody's memory."""
        self.tainted: set[int] = set()
        """Terminals whose memory was rolled back or that have a double: their own word counts for less."""
        self.clock_went_back = False
        """The host's clock was set back."""
        self.estranged: dict[Identity, None] = {}
        """Offline records under a key that nobody has any more: the host cannot tell them from forged ones."""
        self.listed: dict[Identity, None] = {}
        """Offline records of cards that stood on the list which their terminal had."""
        self.answers = 0
        self.newest_rrn = 0
        self.decided: dict[int, tuple[int, int]] = {}
        """The newest batch and STAN with a final answer, by terminal."""
        self._newest_batch: dict[int, int] = {}
        """The newest batch that anything was asked in, by terminal."""
        self._epochs: dict[str, int] = {}
        self._named: dict[str, tuple[int, int]] = {}
        """The newest number each device's READY has named."""
        self._days: dict[str, int] = {}
        self._saf: dict[int, tuple[int, int, int]] = {}
        """RRN, batch and STAN of the newest offline record that was judged, by terminal."""

    def case(self, identity: Identity) -> Case:
        """What is known under an identity."""
        found = self.cases.get(identity)
        if found is None:
            found = self.cases[identity] = Case()
            self._newest_batch[identity[0]] = max(self._newest_batch.get(identity[0], 0), identity[1])
        return found

    def batch_of(self, terminal_id: int) -> tuple[int, int]:
        """Between which two the newest batch lies that the host can know of a terminal."""
        return self.decided.get(terminal_id, (0, 0))[0], max(1, self._newest_batch.get(terminal_id, 0))

    def taint(self, terminal_id: int) -> None:
        """From now on this terminal's own word counts for less."""
        self.tainted.add(terminal_id)

    def _wrong(self, invariant: str, who: str, identity: Identity | None, text: str) -> None:
        where = "" if identity is None else f" batch {identity[1]} STAN {identity[2]}"
        self.world.violate(invariant, f"{who}{where}: {text}")

    # --- A terminal's memory

    def stored(self, who: str, terminal_id: int, record: Record) -> None:
        """A terminal has stored a sale's new state."""
        identity = (terminal_id, record.batch, record.stan)
        case = self.case(identity)
        before, state = case.states.get(who), record.state
        case.states[who] = state
        self.world.note(f"{who} {record.stan} {state.value} {record.response_code} {record.rrn}")
        again = record.kind is TransactionKind.OFFLINE_SALE and self.world.counts["restores"] > 0
        # A record that waits for its upload may get another place in the chain, and is stored again.
        # A copy of this memory may be the one that stores it.
        is_copied = before is None and content_of(record, terminal_id) in case.asked
        if state is RecordState.PENDING or (state is RecordState.OFFLINE and before is None and not is_copied):
            if case.asked and terminal_id not in self.tainted:
                self._wrong("I4", who, identity, "a number is used a second time")
            if identity[1:] <= self._named.get(who, (0, 0)):
                self._wrong("I4", who, identity, f"READY had named {self._named[who]} as the newest number in use")
            case.asked[content_of(record, terminal_id)] = None
            self.world.counts[f"{record.kind.name.lower()}s begun"] += 1
        elif is_copied or (again and before in JUDGED_AGAIN and state in JUDGED_AGAIN):
            pass
        elif terminal_id not in self.tainted and (before is None or state not in STEPS.get(before, ())):
            self._wrong("I5", who, identity, f"from {before} to {state}")
        if state is RecordState.REVERSING:
            self.world.counts["sales reversing"] += 1
            if record.kind is TransactionKind.REFUND:
                self._wrong("I5", who, identity, "a refund is reversed")

    def sent(self, who: str, terminal_id: int, image: Any, request: Message) -> None:
        """A terminal is about to send a request: what it asks for must stand in its memory already (T1)."""
        if not isinstance(request, MoneyRequest | ReversalRequest | OfflineSaleRequest):
            return
        kept = {**image.archived, **image.records}.get((request.batch, request.stan))
        # A restored host is told of what was reversed before, too; a refund is repeated.
        wanted: tuple[RecordState, ...] = SENDABLE if isinstance(request, MoneyRequest) else UNDONE
        if isinstance(request, OfflineSaleRequest):
            wanted = CHAINED
        if kept is None or kept.amount_fen != request.amount_fen or kept.state not in wanted:
            identity = (terminal_id, request.batch, request.stan)
            self._wrong("T1", who, identity, f"sends what its memory does not hold as {[*wanted]}: {kept}")

    def settling(self, who: str, terminal_id: int, state: Settlement) -> None:
        """A terminal is about to store how far it has come with a settlement (I14)."""
        self.world.note(f"{who} settles batch {state.batch}: {state.stage.value}")
        self.world.counts[f"settlements {state.stage.value}"] += 1
        if state.stage not in (Stage.ACCEPT, Stage.ELSEWHERE) or terminal_id in self.tainted:
            return
        if not any(case.lost for identity, case in self.cases.items() if identity[:2] == (terminal_id, state.batch)):
            named = [(row.stan, row.difference.name) for row in state.differences]
            self._wrong("I14", who, None, f"batch {state.batch} of an honest terminal does not balance: {named}")

    def told(self, who: str, terminal_id: int, record: Record) -> None:
        """A customer has seen a final word."""
        identity = (terminal_id, record.batch, record.stan)
        case = self.case(identity)
        case.told.append(record.state)
        if record.state is RecordState.APPROVED and (case.said is None or case.said.code != "00"):
            self._wrong("I10", who, identity, "shows approved, and no answer said so")
        again = record.kind is TransactionKind.OFFLINE_SALE and self.world.counts["restores"] > 0
        if case.told.count(record.state) > 1 and terminal_id not in self.tainted and not again:
            self._wrong("I5", who, identity, f"the customer was told {record.state} twice")

    def enrolled_anew(self, terminal_id: int, image: Any) -> None:
        """A terminal has another key, and its old one is gone."""
        for record in image.offline_records():
            identity = (terminal_id, record.batch, record.stan)
            self.estranged[identity] = None
            self.case(identity).lost = True

    def key_changed(self, terminal_id: int, image: Any) -> None:
        """A terminal has another key. What was refused before is sealed under the old one for good: a host that is
        restored since, and is offered it once more, refuses it for that."""
        for record in image.offline_records():
            if record.state is RecordState.REFUSED:
                self.estranged[terminal_id, record.batch, record.stan] = None

    def forgot(self, who: str) -> None:
        """A terminal lost power: it may have missed what was said to it."""
        self.world.counts["terminals lost power"] += 1

    # --- What terminals hear

    def ready(self, who: str, terminal_id: int, ready: Ready, epoch: int) -> None:
        """A session is open."""
        self.world.counts["sessions"] += 1
        self.world.note(f"{who} ready epoch {epoch} day {ready.business_day}")
        # Restored twice, and the clock set back between: nothing the host knows says how far the lost one had come.
        may_go_back = self.clock_went_back and self.world.counts["restores"] > 1
        if epoch < self._epochs.get(who, 0) and not may_go_back:
            self._wrong("I15", who, None, f"host epoch {epoch} after {self._epochs[who]}")
        self._epochs[who] = epoch
        self._day(who, ready.business_day)
        newest = (ready.last_batch, ready.last_stan)
        self._named[who] = newest
        known = self.decided.get(terminal_id, (0, 0))
        if known > newest:
            self._wrong("I6", who, None, f"READY knows {newest}, but {known} was answered before")

    def _day(self, who: str, day: int) -> None:
        if day < self._days.get(who, 0):
            self._wrong("I15", who, None, f"business day {day} after {self._days[who]}")
        self._days[who] = day

    def heard(self, who: str, terminal_id: int, asked: Message | None, message: Message) -> None:
        """A terminal hears an answer to what it asked last."""
        self.answers += 1
        if isinstance(message, EchoAnswer):
            self._day(who, message.business_day)
        elif isinstance(message, SignOnAnswer):
            if message.response_code == "00":
                self._day(who, message.business_day)
        elif isinstance(message, MoneyAnswer) and isinstance(asked, MoneyRequest):
            self._money(who, (terminal_id, asked.batch, asked.stan), asked, message)
        elif isinstance(message, OfflineSaleAnswer) and isinstance(asked, OfflineSaleRequest):
            self._offline(who, (terminal_id, asked.batch, asked.stan), asked, message)
        elif isinstance(message, QueryAnswer) and isinstance(asked, QueryRequest):
            self._query(who, (terminal_id, asked.batch, asked.stan), asked, message)
        elif isinstance(message, ReversalAnswer) and isinstance(asked, ReversalRequest):
            self._reversal(who, (terminal_id, asked.batch, asked.stan), asked, message)
        elif isinstance(message, UploadAnswer) and isinstance(asked, UploadRequest):
            self._upload(who, (terminal_id, asked.batch, asked.stan), asked, message)
        elif isinstance(message, Reject):
            self._wrong("I17", who, None, f"an honest request was refused: {message}")

    def _money(self, who: str, identity: Identity, asked: MoneyRequest, answer: MoneyAnswer) -> None:
        if (answer.batch, answer.stan, answer.amount_fen) != (asked.batch, asked.stan, asked.amount_fen):
            self._wrong("I5", who, identity, f"the answer to another request: {answer}")
            return
        code, content = answer.response_code, content_of(asked, identity[0])
        case = self.case(identity)
        case.asked[content] = None
        self.world.note(f"{who} hears {code} {answer.rrn} for {asked.stan}")
        if code in UNDECIDED:
            self.world.counts[f"answers {code}"] += 1
        elif code == CONFLICT:
            self._conflict(who, identity, case, content)
        else:
            self._decided(who, identity, case, content, said_in(answer))

    def _offline(self, who: str, identity: Identity, asked: OfflineSaleRequest, answer: OfflineSaleAnswer) -> None:
        """The verdict on a sale that was made without a host. GAP and UNDECIDED decide nothing."""
        verdict, case, content = answer.verdict, self.case(identity), content_of(asked, identity[0])
        self.world.note(f"{who} hears {verdict.name} {answer.rrn} for {asked.stan}, number {asked.saf_sequence}")
        self.world.counts[f"offline {verdict.name.lower()}"] += 1
        if verdict in (OfflineVerdict.GAP, OfflineVerdict.UNDECIDED):
            return
        if verdict is OfflineVerdict.TAMPERED and identity not in self.estranged:
            self._wrong("I17", who, identity, "an honest record is taken for a forged one")
        if not answer.rrn:
            case.lost = True  # kept apart: a revoked terminal's, or a number that was used otherwise
            return
        is_new = case.said is None
        moved = (answer.charged_fen, answer.points, answer.points_balance)
        said = Said(answer.response_code, answer.amount_fen, answer.rrn, None, None, *moved)
        self._decided(who, identity, case, content, said)
        if is_new and identity[0] not in self.tainted:
            newest = self._saf.get(identity[0], (0, 0, 0))
            if newest > (answer.rrn, *identity[1:]) or newest[1:] > identity[1:]:
                self._wrong("I11", who, identity, f"posted as {answer.rrn} after {newest}, which was sold later")
            self._saf[identity[0]] = (answer.rrn, *identity[1:])

    def _conflict(self, who: str, identity: Identity, case: Case, content: Content) -> None:
        self.world.counts["conflicts"] += 1
        case.conflicts.add(content)
        # A memory gone back in time has forgotten an offline sale: nobody asked for it, its number is another one's.
        is_another_known = case.content not in (None, content)
        if not is_another_known and (case.content == content or len(case.asked) < 2):
            self._wrong("I5", who, identity, "told that the number is another sale's, but no other was asked for")

    def _decided(self, who: str, identity: Identity, case: Case, content: Content, said: Said) -> None:
        """A final answer to a sale: the first word holds."""
        self.newest_rrn = max(self.newest_rrn, said.rrn)
        if case.said is None:
            case.said, case.content = said, content
            self.decided[identity[0]] = max(self.decided.get(identity[0], (0, 0)), identity[1:])
            if content in case.conflicts:
                self._wrong("I5", who, identity, "decided after it was refused as another's number")
        elif case.content != content:
            self._wrong("I4", who, identity, f"two contents decided: {case.content} and {content}")
        elif not case.said.agrees(said):
            self._wrong("I5", who, identity, f"answered {case.said} and then {said}")
        elif case.said.balance_fen is None:
            case.said = said

    def _query(self, who: str, identity: Identity, asked: QueryRequest, answer: QueryAnswer) -> None:
        code, state, case = answer.response_code, answer.state, self.case(identity)
        self.world.note(f"{who} hears {state.name} {code} {answer.rrn} for {asked.stan}")
        if code in UNDECIDED or state is TransactionState.IN_PROGRESS:
            return
        content = self._content_asked(case, asked)
        if state is TransactionState.NEVER_SEEN:
            if case.said is not None or case.reversal is not None:
                self._wrong("I6", who, identity, f"never seen, but answered before: {case.said} {case.reversal}")
            return
        if code == CONFLICT:
            self._conflict(who, identity, case, content)
            return
        if answer.rrn:
            self._decided(who, identity, case, content, said_in(answer))
        elif state is not TransactionState.REVERSED:
            self._wrong("I5", who, identity, f"{state.name} without a number")
        if state is TransactionState.REVERSED:
            case.reversed = True
        elif case.reversal is not None and code in ("00", "68"):
            self._wrong("I8", who, identity, f"reversed before, now {state.name}")

    def _content_asked(self, case: Case, asked: QueryRequest) -> Content:
        """A query names neither operator nor kind: it means what is stored with the rest. If two differ in no more, as
        when a memory gone back in time sells the same again, it is about the one that was decided."""
        wanted = (asked.amount_fen, asked.payer, asked.claimed_at_s)
        if case.content is not None and case.content[:3] == wanted:
            return case.content
        for content in case.asked:
            if content[:3] == wanted:
                return content
        return content_of(asked, 0)

    def _upload(self, who: str, identity: Identity, asked: UploadRequest, answer: UploadAnswer) -> None:
        verdict, case, content = answer.verdict, self.case(identity), content_of(asked, identity[0])
        self.world.note(f"{who} hears {verdict.name} {answer.rrn} for {asked.stan}")
        self.world.counts[f"uploads {verdict.name.lower()}"] += 1
        if verdict in (UploadVerdict.RESTORED, UploadVerdict.KNOWN):
            case.uploaded = case.uploaded or case.said is None
            case.upload = (asked.charged_fen, asked.points)
            said = Said("00", answer.amount_fen, answer.rrn, None, None)
            self._decided(who, identity, case, content, said)
        elif verdict is UploadVerdict.CONFLICT and content.original is not None:
            case.lost = True
        elif verdict is not UploadVerdict.UNDECIDED and identity[0] not in self.tainted:
            self._wrong("I6", who, identity, f"an approved sale is answered {verdict.name} by a restored host")

    # --- A restore

    def go_back(self, head: int) -> None:
        """The host came back from a backup with `head` its newest transfer: what it said later it has forgotten, and
        its numbers will be given again. What terminals remember as approved or reversed comes back under new ones.
        """
        self.world.counts["restores"] += 1
        self._days.clear()
        self.decided.clear()
        self.newest_rrn = head
        self._saf.clear()
        for identity, case in self.cases.items():
            if case.said is not None and case.said.rrn > head:
                case.said, case.content, case.uploaded = None, None, False
            if case.reversal is not None and case.reversal.rrn > head:
                case.reversal, case.reversed = None, False
            if case.said is not None:
                self.decided[identity[0]] = max(self.decided.get(identity[0], (0, 0)), identity[1:])
        self.world.note(f"restored to {head}")

    def _reversal(self, who: str, identity: Identity, asked: ReversalRequest, answer: ReversalAnswer) -> None:
        code, case = answer.response_code, self.case(identity)
        self.world.note(f"{who} hears reversal {code} {answer.rrn} for {asked.stan}")
        if code in UNDECIDED:
            return
        if code != "00":
            if identity[0] not in self.tainted:
                self._wrong("I8", who, identity, f"an honest reversal was refused with {code}")
            return
        said = Said(code, answer.reversed_fen, answer.rrn, answer.balance_fen, answer.posted_at_ms)
        # A bonus makes it more than the amount; how much exactly, the model says.
        if case.said is not None and answer.reversed_fen > max(asked.amount_fen, case.said.charged_fen or 0):
            self._wrong("I8", who, identity, f"gave back {answer.reversed_fen} fen of {case.said}")
        if case.reversal is not None and case.reversal != said:
            self._wrong("I5", who, identity, f"reversal answered {case.reversal} and then {said}")
        case.reversal, case.reversed = said, True
        self.newest_rrn = max(self.newest_rrn, said.rrn)
