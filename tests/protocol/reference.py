"""A second implementation of what the wire is built on, from the text of the standards and without `protocol`.

Slow and plain on purpose. Golden vectors and key derivation are held against it.
"""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit: polynomial 0x1EDC6F41 reflected, initial value and final XOR all ones."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def aes_block(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - the bare cipher, of which the standards build their modes
    return encryptor.update(block) + encryptor.finalize()


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def doubled(block: bytes) -> bytes:
    value = int.from_bytes(block, "big") << 1
    return ((value ^ 0x87) & (2**128 - 1) if value >> 128 else value).to_bytes(16, "big")


def aes_cmac(key: bytes, message: bytes) -> bytes:
    """RFC 4493, section 2.4."""
    subkey_1 = doubled(aes_block(key, bytes(16)))
    blocks = [message[start : start + 16] for start in range(0, len(message), 16)] or [b""]
    if len(blocks[-1]) == 16:
        blocks[-1] = xor(blocks[-1], subkey_1)
    else:
        blocks[-1] = xor((blocks[-1] + b"\x80").ljust(16, b"\0"), doubled(subkey_1))
    state = bytes(16)
    for block in blocks:
        state = aes_block(key, xor(state, block))
    return state


def sp_800_108(key: bytes, label: bytes, context: bytes, size: int) -> bytes:
    """NIST SP 800-108r1, section 4.1: counter mode, 32-bit counter and 32-bit length."""
    output = b""
    counter = 1
    while len(output) < size:
        fixed = label + b"\0" + context + (8 * size).to_bytes(4, "big")
        output += aes_cmac(key, counter.to_bytes(4, "big") + fixed)
        counter += 1
    return output[:size]


def aes_wrap(key: bytes, secret: bytes) -> bytes:
    """RFC 3394, section 2.2.1: wrapping, in the form that shifts registers by index."""
    blocks = [secret[start : start + 8] for start in range(0, len(secret), 8)]
    check = bytes.fromhex("a6a6a6a6a6a6a6a6")
    for turn in range(6):
        for index, block in enumerate(blocks):
            enciphered = aes_block(key, check + block)
            count = len(blocks) * turn + index + 1
            check = xor(enciphered[:8], count.to_bytes(8, "big"))
            blocks[index] = enciphered[8:]
    return check + b"".join(blocks)
