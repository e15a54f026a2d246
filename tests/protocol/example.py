"""The example that all samples and vectors are about: a terminal, its keys, a payer, a moment, a PIN.

The keys are plainly examples: consecutive bytes. No terminal is ever enrolled with them.
"""

from protocol import TerminalNumber
from protocol.pin_block import card_digits, encode_pin_block
from protocol.security import pin_key, saf_key

ROOT_KEY = bytes(range(32))
OTHER_KEY = bytes(range(32, 64))
ENROL_CODE = bytes(range(0x80, 0x90))
TERMINAL = TerminalNumber(3, 58)
TERMINAL_CHALLENGE = bytes(range(0x40, 0x50))
HOST_CHALLENGE = bytes(range(0x60, 0x70))
PAYER = bytes.fromhex("04a1b2c3d4e5f6")
NOW_MS = 1_795_000_000_123
NOW_S = NOW_MS // 1000
PIN = "123456"
PIN_KEY = pin_key(ROOT_KEY, TERMINAL, TERMINAL_CHALLENGE, HOST_CHALLENGE)
PIN_FILL = bytes(range(0xA0, 0xA8))
PIN_BLOCK = encode_pin_block(PIN_KEY, PIN, card_digits(PAYER), PIN_FILL)
SAF_KEY = saf_key(ROOT_KEY, TERMINAL)
