"""`fanka card`: what a customer's telephone would show, for tests, demonstrations and scripts of terminals."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import segno
from cyclopts import App

from tools.listing import print_json
from tools.options import AsJson, Data, admin_channel

card_app = App(name="card", help="Virtual cards: the payment code of this moment.")

DIGIT_GROUP: Final = 4
PICTURE_SCALE: Final = 8
"""Dots to a module: a code some 5 cm wide on a usual screen."""


@card_app.command(name="show")
def show_code(card: str, /, *, png: Path | None = None, data: Data = None, json: AsJson = False) -> None:
    """The payment code of this moment, as digits and as a QR code. Each is good for one payment.

    Parameters
    ----------
    card
        The number of a virtual card, or the student number of its holder.
    png
        Write the QR code into this picture file too.
    """
    with admin_channel(data) as admin:
        shown = admin.call("virtual_card.code", card=card)
        code = shown["code"]
        qr = segno.make(code, micro=False)
        if png is not None:
            qr.save(str(png), kind="png", scale=PICTURE_SCALE)
    if json:
        print_json(shown)
        return
    drawn = io.StringIO()
    qr.terminal(out=drawn, compact=True)
    groups = " ".join(code[start : start + DIGIT_GROUP] for start in range(0, len(code), DIGIT_GROUP))
    print(f"{drawn.getvalue()}{groups}")
    print(
        f"{shown['student_number']} {shown['name']}, virtual card {shown['number']}: good for {shown['good_for_s']} s"
    )
