"""Keys and seals held against the standards, through the second implementation in reference.py."""

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol import LocalProtocolError, Role, TerminalNumber
from protocol.security import (
    LABEL_ENROL,
    LABEL_HOST_TO_TERMINAL,
    LABEL_MAC,
    LABEL_PIN,
    LABEL_SAF,
    LABEL_TERMINAL_TO_HOST,
    LABEL_WRAP,
    WRAPPED_KEY_SIZE,
    Seal,
    chain_tag,
    cryptogram,
    derive,
    pin_key,
    root_key_from_enrol_code,
    saf_key,
    same_bytes,
    session_seals,
    unwrap_root_key,
    wrap_root_key,
    wrapping_key,
)
from tests.protocol.example import ENROL_CODE, HOST_CHALLENGE, OTHER_KEY, ROOT_KEY, TERMINAL, TERMINAL_CHALLENGE
from tests.protocol.reference import aes_cmac, aes_wrap, sp_800_108

TERMINAL_BYTES = bytes.fromhex("0003003a")


RFC_4493_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
RFC_4493_MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)


@pytest.mark.parametrize(
    ("size", "mac"),
    [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ],
)
def test_rfc_4493_vectors(size, mac):
    assert aes_cmac(RFC_4493_KEY, RFC_4493_MESSAGE[:size]).hex() == mac


LABELS = [
    LABEL_MAC,
    LABEL_TERMINAL_TO_HOST,
    LABEL_HOST_TO_TERMINAL,
    LABEL_ENROL,
    LABEL_WRAP,
    LABEL_PIN,
    LABEL_SAF,
]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("context", [b"", TERMINAL_BYTES, bytes(36)])
@pytest.mark.parametrize("size", [16, 32, 40])
def test_derivation_is_sp_800_108(label, context, size):
    assert derive(ROOT_KEY, label, context, size) == sp_800_108(ROOT_KEY, label, context, size)


def test_labels_are_all_different():
    assert len(set(LABELS)) == len(LABELS)
    assert b"\0" not in b"".join(LABELS)  # a zero byte ends the label inside the derivation


class TestKeyWrap:
    def test_is_key_wrap_under_a_derived_key(self):
        key = sp_800_108(ROOT_KEY, b"FK1 wrap", TERMINAL_BYTES + b"\0\7", 32)
        assert wrapping_key(ROOT_KEY, TERMINAL, 7) == key
        assert wrap_root_key(ROOT_KEY, TERMINAL, 7, OTHER_KEY) == aes_wrap(key, OTHER_KEY)

    def test_opens_with_the_same_key_terminal_and_version_alone(self):
        wrapped = wrap_root_key(ROOT_KEY, TERMINAL, 7, OTHER_KEY)
        assert len(wrapped) == WRAPPED_KEY_SIZE
        assert unwrap_root_key(ROOT_KEY, TERMINAL, 7, wrapped) == OTHER_KEY
        assert unwrap_root_key(OTHER_KEY, TERMINAL, 7, wrapped) is None
        assert unwrap_root_key(ROOT_KEY, TerminalNumber(3, 59), 7, wrapped) is None
        assert unwrap_root_key(ROOT_KEY, TERMINAL, 8, wrapped) is None

    def test_any_changed_bit_is_noticed(self):
        wrapped = wrap_root_key(ROOT_KEY, TERMINAL, 7, OTHER_KEY)
        for bit in range(8 * len(wrapped)):
            changed = bytearray(wrapped)
            changed[bit // 8] ^= 1 << bit % 8
            assert unwrap_root_key(ROOT_KEY, TERMINAL, 7, bytes(changed)) is None

    @pytest.mark.parametrize("size", [0, 8, 24, 39, 41, 48])
    def test_of_another_size_is_none(self, size):
        assert unwrap_root_key(ROOT_KEY, TERMINAL, 7, bytes(size)) is None

    @pytest.mark.parametrize("size", [0, 16, 31, 33])
    def test_a_root_key_of_another_size_is_not_wrapped(self, size):
        with pytest.raises(LocalProtocolError, match=f"new root key: expected 32 bytes, got {size}"):
            wrap_root_key(ROOT_KEY, TERMINAL, 7, bytes(size))


class TestCryptogram:
    TRANSCRIPT = b"all that was said"

    @pytest.mark.parametrize(("sender", "letter"), [(Role.HOST, b"S"), (Role.TERMINAL, b"T")])
    def test_is_cmac_of_role_and_transcript(self, sender, letter):
        key = sp_800_108(ROOT_KEY, b"FK1 mac", TERMINAL_BYTES, 16)
        assert cryptogram(ROOT_KEY, TERMINAL, sender, self.TRANSCRIPT) == aes_cmac(key, letter + self.TRANSCRIPT)

    def test_depends_on_everything(self):
        made = {
            cryptogram(ROOT_KEY, TERMINAL, Role.HOST, self.TRANSCRIPT),
            cryptogram(OTHER_KEY, TERMINAL, Role.HOST, self.TRANSCRIPT),
            cryptogram(ROOT_KEY, TerminalNumber(3, 59), Role.HOST, self.TRANSCRIPT),
            cryptogram(ROOT_KEY, TERMINAL, Role.TERMINAL, self.TRANSCRIPT),
            cryptogram(ROOT_KEY, TERMINAL, Role.HOST, self.TRANSCRIPT + b"\0"),
        }
        assert len(made) == 5

    def test_comparison(self):
        assert same_bytes(b"ab", b"ab")
        assert not same_bytes(b"ab", b"ac")
        assert not same_bytes(b"ab", b"abc")


class TestSeals:
    HEADER = bytes(range(16))

    def seals(self, **other):
        arguments = {
            "root_key": ROOT_KEY,
            "terminal": TERMINAL,
            "terminal_challenge": TERMINAL_CHALLENGE,
            "host_challenge": HOST_CHALLENGE,
        }
        return session_seals(**(arguments | other))

    @pytest.mark.parametrize(("sender", "label"), [(Role.TERMINAL, b"FK1 t2h"), (Role.HOST, b"FK1 h2t")])
    @pytest.mark.parametrize("sequence", [0, 1, 255, 256, 2**20, 2**32 - 1])
    def test_is_gcm_with_the_sequence_as_nonce(self, sender, label, sequence):
        key = sp_800_108(ROOT_KEY, label, TERMINAL_BYTES + TERMINAL_CHALLENGE + HOST_CHALLENGE, 16)
        sealed = self.seals()[sender].close(sequence, self.HEADER, b"body")
        nonce = bytes(8) + sequence.to_bytes(4, "big")
        assert sealed == AESGCM(key).encrypt(nonce, b"body", self.HEADER)
        assert len(sealed) == len(b"body") + 16
        assert self.seals()[sender].open(sequence, self.HEADER, sealed) == b"body"

    def test_no_nonce_is_used_twice_under_a_key(self):
        seal = self.seals()[Role.HOST]
        assert len({seal.close(sequence, self.HEADER, bytes(16)) for sequence in range(2000)}) == 2000

    def test_everything_is_bound(self):
        seal = self.seals()[Role.TERMINAL]
        sealed = seal.close(5, self.HEADER, b"body")
        assert seal.open(6, self.HEADER, sealed) is None
        assert seal.open(5, bytes(16), sealed) is None
        assert self.seals()[Role.HOST].open(5, self.HEADER, sealed) is None
        for other in (
            {"root_key": OTHER_KEY},
            {"terminal": TerminalNumber(3, 59)},
            {"terminal_challenge": HOST_CHALLENGE},
            {"host_challenge": TERMINAL_CHALLENGE},
        ):
            assert self.seals(**other)[Role.TERMINAL].open(5, self.HEADER, sealed) is None

    @pytest.mark.parametrize("size", range(17))
    def test_too_short_is_none(self, size):
        assert Seal(bytes(16)).open(0, self.HEADER, bytes(size)) is None

    def test_gcm_agrees_with_nist(self):
        """AES-128-GCM, test case 4 of the submission of McGrew and Viega (with associated data, 60 bytes)."""
        key = bytes.fromhex("feffe9928665731c6d6a8f9467308308")
        nonce = bytes.fromhex("cafebabefacedbaddecaf888")
        data = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
        tag = "5bc94fbc3221a5db94fae95ae7121a47"
        plain = bytes.fromhex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        )
        sealed = AESGCM(key).encrypt(nonce, plain, data)
        assert sealed[-16:].hex() == tag
        with pytest.raises(InvalidTag):
            AESGCM(key).decrypt(nonce, sealed, b"")


class TestPinKey:
    def test_is_derived_for_terminal_and_session(self):
        made = pin_key(ROOT_KEY, TERMINAL, TERMINAL_CHALLENGE, HOST_CHALLENGE)
        context = TERMINAL_BYTES + TERMINAL_CHALLENGE + HOST_CHALLENGE
        assert made == sp_800_108(ROOT_KEY, b"FK1 pin", context, 16)

    def test_depends_on_everything(self):
        made = {
            pin_key(ROOT_KEY, TERMINAL, TERMINAL_CHALLENGE, HOST_CHALLENGE),
            pin_key(OTHER_KEY, TERMINAL, TERMINAL_CHALLENGE, HOST_CHALLENGE),
            pin_key(ROOT_KEY, TerminalNumber(3, 59), TERMINAL_CHALLENGE, HOST_CHALLENGE),
            pin_key(ROOT_KEY, TERMINAL, HOST_CHALLENGE, HOST_CHALLENGE),
            pin_key(ROOT_KEY, TERMINAL, TERMINAL_CHALLENGE, TERMINAL_CHALLENGE),
        }
        assert len(made) == 5


class TestChain:
    """The tags of offline records: under K_saf, each bound to all before it."""

    KEY = saf_key(ROOT_KEY, TERMINAL)
    TAG = bytes(range(16))

    def test_key_is_derived_for_the_terminal_and_needs_no_session(self):
        assert sp_800_108(ROOT_KEY, b"FK1 saf", TERMINAL_BYTES, 16) == self.KEY
        assert saf_key(ROOT_KEY, TerminalNumber(3, 59)) != self.KEY
        assert saf_key(OTHER_KEY, TERMINAL) != self.KEY

    def test_tag_is_cmac_of_all_of_it(self):
        expected = aes_cmac(self.KEY, self.TAG + (7).to_bytes(4, "big") + b"a record")
        assert chain_tag(self.KEY, self.TAG, 7, b"a record") == expected

    def test_any_change_changes_it(self):
        tag = chain_tag(self.KEY, self.TAG, 7, b"a record")
        others = {
            chain_tag(OTHER_KEY[:16], self.TAG, 7, b"a record"),
            chain_tag(self.KEY, bytes(16), 7, b"a record"),
            chain_tag(self.KEY, self.TAG, 8, b"a record"),
            chain_tag(self.KEY, self.TAG, 7, b"a recorD"),
            chain_tag(self.KEY, self.TAG, 7, b"a record\0"),
        }
        assert len(others) == 5
        assert tag not in others


class TestEnrolCode:
    def test_is_the_code_doubled(self):
        made = root_key_from_enrol_code(ENROL_CODE, TERMINAL)
        assert made == sp_800_108(ENROL_CODE + ENROL_CODE, b"FK1 enrol", TERMINAL_BYTES, 32)

    def test_is_bound_to_the_terminal(self):
        assert root_key_from_enrol_code(ENROL_CODE, TERMINAL) != root_key_from_enrol_code(
            ENROL_CODE, TerminalNumber(3, 59)
        )

    @pytest.mark.parametrize("size", [0, 15, 17, 32])
    def test_of_another_size_is_refused(self, size):
        with pytest.raises(LocalProtocolError, match=f"enrolment code: expected 16 bytes, got {size}"):
            root_key_from_enrol_code(bytes(size), TERMINAL)
