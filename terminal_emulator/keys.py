"""What single keys and combinations do at rest, as data: the names are those of `functions.FUNCTIONS`."""

from __future__ import annotations

from typing import Final

from protocol.messages.parameters import Profile
from terminal_emulator.effects import Key

COMBINATIONS: Final = {
    Key.D1: "third_last_sale",
    Key.D2: "second_last_sale",
    Key.D3: "last_sale",
    Key.D5: "day_total",
    Key.D6: "meal_total",
    Key.D7: "offline_mode",
    Key.D8: "terminal_version",
    Key.D9: "journal",
    Key.D0: "date_and_time",
    Key.ENTER: "fixed_amount_on",
    Key.DELETE: "fixed_amount_off",
}
"""Clear, then this key (S0 三). Clear has to be pressed at rest: where it leads home from something else, the next key
is the first of an amount, as after every sale."""

COMBINATION_S: Final = 5.0
"""How long the terminal waits for the second key, and says so on its screen."""

SEQUENCES: Final[dict[tuple[Key, ...], str]] = {
    (Key.F2, Key.D1, Key.D7): "terminal_number",
}
"""One key after the other, at rest, in both profiles."""

FIRST_KEYS: Final = frozenset(keys[0] for keys in SEQUENCES)

AT_REST: Final = {
    Profile.CANTEEN: {Key.F1: "menu"},
    Profile.MEMBER: {
        Key.D1: "open_card",
        Key.D2: "top_up",
        Key.D3: "sale",
        Key.D4: "points_sale",
        Key.D7: "clock_in",
        Key.ENTER: "menu",
        Key.F1: "menu",
    },
}
"""Single keys. In a canteen every digit at rest begins an amount."""
