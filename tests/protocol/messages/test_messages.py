"""The byte layout of wire version 1, pinned: terminals are in walls for ten years. A failure here is a new version."""

import pytest

from protocol.messages import LAYOUTS

# (MTI, processing code): title, sender, flags, body size, fields with offset in the frame and size
PINNED = {
    (0x0800, 0x90): (
        "HELLO terminal 0 45 lowest_version@17+1 highest_version@18+1 key_version@19+2 terminal_challenge@21+16 "
        "last_epoch@37+4 last_saf_sequence@41+4 firmware@45+16"
    ),
    (0x0810, 0x90): (
        "CHALLENGE host 2 46 version@17+1 host_challenge@18+16 host_time_ms@34+8 epoch@42+4 cryptogram@46+16"
    ),
    (0x0800, 0x91): "AUTH terminal 0 17 cryptogram@17+16",
    (0x0810, 0x91): (
        "READY host 3 91 host_time_ms@17+8 business_day@25+4 config_version@29+4 sale_limit_fen@33+4 last_batch@37+3 "
        "last_stan@40+3 merchant_number@43+4 merchant_name@47+48 currency@95+2 history@97+4 "
        "restored_at_s@101+4 next_key_version@105+2"
    ),
    (0x0800, 0x02): "sign-off terminal 1 1",
    (0x0810, 0x02): "sign-off answer host 3 3 response_code@17+2",
    (0x0800, 0x92): "enrolment terminal 1 25 serial_number@17+24",
    (0x0810, 0x92): "enrolment answer host 3 37 response_code@17+2 key_version@19+2 root_key@21+32",
    (0x0800, 0x61): "key change terminal 1 3 key_version@17+2",
    (0x0810, 0x61): "key change answer host 3 45 response_code@17+2 key_version@19+2 wrapped_key@21+40",
    (0x0800, 0x31): "echo test terminal 1 5 claimed_at_s@17+4",
    (0x0810, 0x31): "echo test answer host 3 17 host_time_ms@17+8 business_day@25+4 config_version@29+4",
    (0x0200, 0x00): (
        "sale terminal 1 43 stan@17+3 batch@20+3 amount_fen@23+4 operator@27+2 entry_mode@29+1 payer@30+25 "
        "claimed_at_s@55+4"
    ),
    (0x0210, 0x00): (
        "sale answer host 3 37 stan@17+3 batch@20+3 amount_fen@23+4 response_code@27+2 rrn@29+8 balance_fen@37+8 "
        "posted_at_ms@45+8"
    ),
    (0x0400, 0x00): (
        "reversal terminal 1 45 stan@17+3 batch@20+3 amount_fen@23+4 operator@27+2 entry_mode@29+1 payer@30+25 "
        "claimed_at_s@55+4 reason@59+2"
    ),
    (0x0410, 0x00): (
        "reversal answer host 3 37 stan@17+3 batch@20+3 reversed_fen@23+4 response_code@27+2 rrn@29+8 "
        "balance_fen@37+8 posted_at_ms@45+8"
    ),
    (
        0x0600,
        0x30,
    ): "transaction query terminal 1 40 stan@17+3 batch@20+3 amount_fen@23+4 payer@27+25 claimed_at_s@52+4",
    (0x0610, 0x30): (
        "transaction query answer host 3 38 stan@17+3 batch@20+3 state@23+1 response_code@24+2 amount_fen@26+4 "
        "rrn@30+8 balance_fen@38+8 posted_at_ms@46+8"
    ),
    (0x0320, 0x00): (
        "upload terminal 1 67 stan@17+3 batch@20+3 amount_fen@23+4 operator@27+2 entry_mode@29+1 payer@30+25 "
        "claimed_at_s@55+4 rrn@59+8 balance_fen@67+8 posted_at_ms@75+8"
    ),
    (0x0330, 0x00): (
        "upload answer host 3 22 stan@17+3 batch@20+3 amount_fen@23+4 verdict@27+1 response_code@28+2 rrn@30+8"
    ),
    (0x0620, 0x00): (
        "reject host 3 144 rejected_mti@17+2 rejected_processing_code@19+1 response_code@20+2 offset@22+2 "
        "field@24+24 expected@48+64 got@112+48"
    ),
}


@pytest.mark.parametrize("key", LAYOUTS, ids=lambda key: f"{key[0]:04X}/{key[1]:02X}")
def test_layout(key):
    layout = LAYOUTS[key]
    fields = [f"{field.name}@{layout.offset_of(field.name)}+{field.size}" for field in layout.fields]
    assert " ".join([layout.title, layout.sender, str(layout.flags), str(layout.size), *fields]) == PINNED[key]
