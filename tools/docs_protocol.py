"""The generated parts of docs/protocol.md: tables from layouts, a diagram from the states, hex from the vectors."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from protocol import limits as wire_limits
from protocol.annotate import HEADER_FIELDS
from protocol.dissect import Dissector
from protocol.limits import HEADER_SIZE, TAG_SIZE
from protocol.messages import LAYOUTS, Layout
from protocol.messages.fields import Field
from protocol.response_codes import RESPONSE_CODES
from protocol.state import TRANSITIONS, Role
from tools.decode import item_lines

VECTORS: Final = Path(__file__).resolve().parent.parent / "tests" / "protocol" / "vectors"
HEX_WIDTH: Final = 96

HEADER_WORDS: Final = {
    "sync": ("bytes", '46 4B, "FK"'),
    "version": ("u8", "wire version, 1"),
    "flags": ("u8", "bit 0 sealed, bit 1 response (host to terminal), bit 2 push (reserved); bits 3-7 zero"),
    "mti": ("u16", "message type, four BCD digits as in ISO 8583: sale 0x0200, its answer 0x0210"),
    "body_size": ("u16", "size of the body, 0..4096, the tag of a sealed body counted in"),
    "terminal": ("u16, u16", "terminal number: group, device; in both directions the terminal's"),
    "sequence": ("u32", "0 for the first frame of each direction of a session, then +1 per frame"),
}


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    cells = [list(head)] + [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(cells[0]), *lines[1:]])


def hex_block(*parts: tuple[str, str]) -> str:
    """Named hex strings as one code block, folded."""
    lines = []
    for name, value in parts:
        lines.append(f"{name}:" if name else "")
        lines += [f"  {part}" for part in textwrap.wrap(value, HEX_WIDTH)]
    return "```text\n" + "\n".join(line for line in lines if line) + "\n```"


def vectors(name: str) -> Any:
    """One file of golden vectors."""
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def header() -> str:
    """The 16 bytes in front of every body, and what follows."""
    rows: list[tuple[object, ...]] = []
    at = 0
    for name, size in HEADER_FIELDS:
        rows.append((at, size, f"`{name}`", *HEADER_WORDS[name]))
        at += size
    rows.append((at, "n", "`body`", "bytes", "in clear, or AES-128-GCM ciphertext and its 16-byte tag"))
    rows.append((f"{at}+n", 4, "`crc`", "u32", "CRC-32C over everything before it"))
    return table(["offset", "size", "field", "type", "meaning"], rows)


def limits() -> str:
    """Every number both ends must agree on, with the words that stand below it in protocol/limits.py."""
    source = Path(wire_limits.__file__).read_text(encoding="utf-8")
    body = ast.parse(source).body
    rows = []
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        words = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            words = " ".join(str(following.value.value).split())
        value = getattr(wire_limits, node.target.id)
        shown = value.hex() if isinstance(value, bytes) else f"{value:g}" if isinstance(value, float) else str(value)
        rows.append((f"`{node.target.id}`", shown, words))
    return table(["name", "value", "meaning"], rows)


def states() -> str:
    """The state table as a diagram and as a table."""
    arrows = [
        (state, sender, kind, target)
        for state, moves in TRANSITIONS.items()
        for (sender, kind), target in moves.items()
    ]
    diagram = ["```mermaid", "stateDiagram-v2", "    [*] --> connected: TCP connection open"]
    diagram += [f"    {state} --> {target}: {sender} sends {kind}" for state, sender, kind, target in arrows]
    diagram += ["    closed --> [*]: TCP connection closed", "```", ""]
    rows = [(f"`{state}`", sender, kind, f"`{target}`") for state, sender, kind, target in arrows]
    return "\n".join(diagram) + "\n" + table(["state", "who sends", "what", "next state"], rows)


def type_of(field: Field) -> str:
    """How a field looks on the wire, in a word or two."""
    if re.fullmatch(r"\d+\.\.\d+", field.expected):
        return f"u{8 * field.size}"
    for start, word in {
        "a signed": f"i{8 * field.size}",
        "two characters": "ASCII",
        "at most": "UTF-8",
        "length": "u8, bytes",
        "a count": "u8, rows",
        f"{field.size} bytes": "bytes",
    }.items():
        if field.expected.startswith(start):
            return word
    return "u8"


def messages() -> str:
    """One table for each message: where every byte stands and what it may hold."""
    return "\n\n".join(message(layout) for layout in LAYOUTS.values())


def message(layout: Layout) -> str:
    """The table of one message."""
    sealed = bool(layout.flags & 1)
    size = HEADER_SIZE + layout.size + (TAG_SIZE if sealed else 0) + 4
    arrow = "terminal to host" if layout.sender is Role.TERMINAL else "host to terminal"
    form = f"flags 0x{layout.flags:02X} ({'sealed' if sealed else 'in clear'})"
    lines = [
        f"### {layout.mti:04X}/{layout.processing_code:02X} {layout.title}",
        "",
        f"{arrow}; kind `{layout.kind}`; {form}; body {layout.size} bytes, frame {size} bytes.",
        "",
    ]
    rows: list[tuple[object, ...]] = [
        (
            HEADER_SIZE,
            1,
            "`processing_code`",
            "u8",
            f"0x{layout.processing_code:02X}",
            "tells the message within its MTI",
        )
    ]
    rows += [
        (layout.offset_of(field.name), field.size, f"`{field.name}`", type_of(field), field.expected, field.note)
        for field in layout.fields
    ]
    parts = ["\n".join(lines) + table(["offset", "size", "field", "type", "allowed", "note"], rows)]
    return "\n\n".join([*parts, *(row_table(field) for field in layout.fields if field.row is not None)])


def row_table(field: Field) -> str:
    """What stands in each row of a field of rows, counted from the first byte of the row."""
    at = 0
    rows = []
    for column in field.columns:
        rows.append((at, column.size, f"`{column.name}`", type_of(column), column.expected, column.note))
        at += column.size
    head = ["at", "size", "field", "type", "allowed", "note"]
    return f"Each row of `{field.name}`, {at} bytes:\n\n{table(head, rows)}"


def response_codes() -> str:
    """The table of response codes."""
    rows = [
        (f"`{entry.code}`", entry.code_class, entry.meaning, "yes" if entry.final else "**no**", entry.terminal_does)
        for entry in RESPONSE_CODES.values()
    ]
    return table(["code", "class", "meaning", "final", "what the terminal does"], rows)


def key_derivation() -> str:
    """Each derivation with an example."""
    blocks = []
    for case in vectors("keys.json")["derivations"]:
        size = 8 * case["size"]
        blocks.append(
            f"{case['name']} (label `{case['label']}`, {size} bits):\n\n"
            + hex_block(
                ("key", case["key"]),
                ("label, zero byte, context, bits", f"{case['label'].encode().hex()} 00 {case['context']} {size:08x}"),
                ("output", case["output"]),
            )
        )
    return "\n\n".join(blocks)


def handshake() -> str:
    """The handshake of the example session, byte by byte."""
    session = vectors("session.json")
    hello, challenge, auth, ready = session["frames"][:4]
    host_input = 'input of the host\'s cryptogram: "S", HELLO, CHALLENGE with 16 zero bytes at its end'
    block = hex_block(
        ("HELLO", hello["frame"]),
        (host_input, session["host_cryptogram_input"]),
        ("K_mac", session["mac_key"]),
        ("CMAC", session["host_cryptogram"]),
        ("CHALLENGE", challenge["frame"]),
        ('input of the terminal\'s cryptogram: "T", HELLO, CHALLENGE', session["terminal_cryptogram_input"]),
        ("CMAC", session["terminal_cryptogram"]),
        ("AUTH", auth["frame"]),
        ("K_t2h", session["key_terminal_to_host"]),
        ("K_h2t", session["key_host_to_terminal"]),
        ("READY, body in clear", ready["body"]),
        ("READY, nonce", f"{ready['sequence']:024x}"),
        ("READY, associated data (its header)", ready["frame"][: 2 * HEADER_SIZE]),
        ("READY, as sent", ready["frame"]),
    )
    return f"Terminal {session['terminal']}, root key `{session['root_key']}`.\n\n{block}"


def key_change() -> str:
    """A root key changed: what wraps it, and the frames around it."""
    change = vectors("key_change.json")
    frames = {frame["message"]: frame for frame in change["before"]["frames"]}
    block = hex_block(
        (f"root key in force, version {frames['Hello']['fields']['key_version']}", change["root_key"]),
        (f"the next root key, version {change['key_version']}", change["new_root_key"]),
        ("K_wrap", change["wrapping_key"]),
        ("AES key wrap", change["wrapped_key"]),
        ("key change, body", frames["KeyRequest"]["body"]),
        ("key change, as sent", frames["KeyRequest"]["frame"]),
        ("key change answer, body", frames["KeyAnswer"]["body"]),
        ("key change answer, as sent", frames["KeyAnswer"]["frame"]),
        ("HELLO of the next session", change["after"]["frames"][0]["frame"]),
    )
    return f"Terminal {change['before']['terminal']}, in the session of section 6 and the one after it.\n\n{block}"


def pin_block() -> str:
    """A PIN on its way into its block, step by step."""
    case = vectors("pin_block.json")
    block = hex_block(
        ("payer", case["payer"]),
        ("random bytes", case["random_fill"]),
        ("K_pin", case["pin_key"]),
        ("PIN field", case["pin_field"]),
        ("E(PIN field)", case["pin_field_enciphered"]),
        ("card field", case["card_field"]),
        ("PIN block", case["pin_block"]),
    )
    return f"PIN {case['pin']}, card number {case['card_digits']}, in the session of section 6:\n\n{block}"


def offline_chain() -> str:
    """Two offline records and their tags."""
    case = vectors("offline.json")
    lines = [("K_saf", case["saf_key"])]
    for record in case["records"]:
        number = record["saf_sequence"]
        before = f"{record['previous_tag']} {number:08x} {record['record']}"
        lines += [(f"record {number}: previous tag, number, record", before), (f"tag {number}", record["tag"])]
    sent = [frame for frame in case["session"]["frames"] if frame["message"] == "OfflineSaleRequest"]
    return hex_block(*lines, ("offline sale of record 1, body", sent[0]["body"]))


def session() -> str:
    """The rest of the example session."""
    return conversation("session.json")


def functions() -> str:
    """Every kind of request for money but the sale, as a session has them."""
    return conversation("functions.json")


def conversation(name: str) -> str:
    """The frames of a session behind its handshake, but for the sign-off."""
    parts = []
    for frame in vectors(name)["frames"][4:]:
        layout = LAYOUTS[int(frame["mti"], 16), int(frame["processing_code"], 16)]
        fields = ", ".join(f"{name} {value}" for name, value in frame["fields"].items()) or "no fields"
        arrow = "T>H" if frame["sender"] == "terminal" else "H>T"
        parts.append(
            f"{arrow} **{layout.title}**, sequence {frame['sequence']}: {fields}\n\n"
            + hex_block(("body", frame["body"]), ("frame", frame["frame"]))
        )
    return "\n\n".join(parts)


def annotated_sale() -> str:
    """The sale of the example session as `fanka decode` shows it."""
    session = vectors("session.json")
    dissector = Dissector([bytes.fromhex(session["root_key"])])
    pieces = [piece for frame in session["frames"] for piece in dissector.feed(bytes.fromhex(frame["frame"]))]
    sale = next(piece for piece in pieces if piece.title == "sale")
    width = max(len(item.field) for item in sale.items)
    return "```text\n" + "\n".join(line for item in sale.items for line in item_lines(item, width)) + "\n```"


def refused_frames() -> str:
    """What is refused, and how, from the vectors of bad frames."""
    rows = []
    for case in vectors("bad.json")["cases"]:
        field = f"`{case['field']}` at {case['offset']}" if case.get("field") else ""
        outcome = f"rejected with {case['code']}" if "code" in case else case["outcome"]
        rows.append((case["name"], case["receiver"], case["state"], outcome, case["reason"], field))
    return table(["what came", "to the", "in state", "outcome", "reason", "field"], rows)
