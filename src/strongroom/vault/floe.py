"""C2SP FLOE (c2sp.org/FLOE, ePrint 2025/2275): random-access authenticated encryption of large files.

AES-256-GCM, HKDF-Expand-SHA-384, 32-byte FLOE IV; only the segment's length may be chosen. A ciphertext is a header
(74 bytes: parameters, IV, tag) and segments, of which all but the last are exactly `segment_length` bytes long:

    segment = length (4 bytes; 0xFFFFFFFF unless it is the last) | IV (12) | ciphertext | tag (16)

Invariants: every segment has a fresh random IV; its position and whether it is the last are authenticated; the header's
tag commits to key, parameters, IV and associated data, and is compared in constant time before anything is decrypted.
Steps below carry the names that the specification gives them.

>>> key = bytes(range(32))
>>> sealed = encrypt(key, b"weights" * 1000, aad=b"model.safetensors", segment_length=4096)
>>> decrypt(key, sealed, aad=b"model.safetensors") == b"weights" * 1000
True
>>> cipher = Cipher.open(key, sealed[:HEADER_BYTES], aad=b"model.safetensors")
>>> cipher.plain_length(len(sealed))  # 7000 bytes in two segments
7000
>>> cipher.decrypt_segment(sealed[HEADER_BYTES + 4096 :], 1, final=True)[:7]
b'htsweig'
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Callable
from functools import partial

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from ..core.errors import IntegrityError, UsageError
from ._threads import side_by_side

__all__ = [
    "HEADER_BYTES",
    "KEY_BYTES",
    "MAX_SEGMENTS",
    "OVERHEAD",
    "SEGMENT_LENGTH",
    "Buffer",
    "Cipher",
    "Decryptor",
    "Encryptor",
    "decrypt",
    "decrypt_into",
    "encrypt",
    "encrypt_into",
]

Buffer = bytes | bytearray | memoryview

KEY_BYTES = 32
SEGMENT_LENGTH = 1 << 20
"""Of an encrypted segment (ENC_SEG_LEN), in bytes; its plaintext is `OVERHEAD` bytes shorter."""
MAX_SEGMENTS = 1 << 40
IV_BYTES, TAG_BYTES, FLOE_IV_BYTES, HEADER_TAG_BYTES = 12, 16, 32, 32
OVERHEAD = 4 + IV_BYTES + TAG_BYTES
ROTATION_MASK = 20
"""After 2**20 segments follows a new AES key."""
_PARAMETERS = struct.Struct(">BBII")
HEADER_BYTES = _PARAMETERS.size + FLOE_IV_BYTES + HEADER_TAG_BYTES
MAX_SEGMENT_LENGTH = 0xFFFF_FFFE
_MESSAGE_KEY_BYTES = 48
_NOT_LAST = b"\xff\xff\xff\xff"
_POSITION = struct.Struct(">QB")
_LENGTH = struct.Struct(">I")


class Cipher:
    """The state of one ciphertext (startEncryption, startDecryption), for segments in any order. Threads may share it.

    Whoever encrypts must encrypt each position once, and the last one as `final`; `Encryptor` and `encrypt_into` do.
    """

    def __init__(
        self,
        key: Buffer,
        iv: bytes,
        aad: Buffer,
        segment_length: int,
        name: str,
        random: Callable[[int], bytes],
        rotation_mask: int,
    ) -> None:
        if len(key) != KEY_BYTES:
            raise UsageError(f"a FLOE key has {KEY_BYTES} bytes, not {len(key)}")
        if not OVERHEAD < segment_length <= MAX_SEGMENT_LENGTH:
            raise UsageError(f"a segment cannot have {segment_length} bytes", next=f"choose more than {OVERHEAD}")
        self.name = name
        self.segment_length = segment_length
        self.payload = segment_length - OVERHEAD
        """Bytes of plaintext in each segment but the last, which has at most as many."""
        self._iv, self._aad, self._random, self._mask = iv, bytes(aad), random, rotation_mask
        parameters = _PARAMETERS.pack(0, 0, segment_length, FLOE_IV_BYTES)  # PARAM_ENCODE
        self._prefix = parameters + iv
        self.header = self._prefix + self._kdf(bytes(key), b"HEADER_TAG:", HEADER_TAG_BYTES)
        self._message_key = self._kdf(bytes(key), b"MESSAGE_KEY:", _MESSAGE_KEY_BYTES)
        self._keys: dict[int, AESGCM] = {}

    @classmethod
    def start(
        cls,
        key: Buffer,
        *,
        aad: Buffer = b"",
        segment_length: int = SEGMENT_LENGTH,
        name: str = "",
        random: Callable[[int], bytes] = os.urandom,
        rotation_mask: int = ROTATION_MASK,
    ) -> Cipher:
        """startEncryption. `name` stands in errors. Raises UsageError for the key's or the segment's length."""
        return cls(key, random(FLOE_IV_BYTES), aad, segment_length, name, random, rotation_mask)

    @classmethod
    def open(
        cls, key: Buffer, header: Buffer, *, aad: Buffer = b"", name: str = "", rotation_mask: int = ROTATION_MASK
    ) -> Cipher:
        """startDecryption. Raises IntegrityError where header, key and associated data do not belong together."""
        segment_length = segment_length_of(header, name)
        iv = bytes(header[_PARAMETERS.size : _PARAMETERS.size + FLOE_IV_BYTES])
        cipher = cls(key, iv, aad, segment_length, name, os.urandom, rotation_mask)
        if not hmac.compare_digest(cipher.header, bytes(header)):
            raise IntegrityError(
                "the header's tag is wrong: another key, other associated data, or a damaged header",
                where=_where(name, "header, offset 0"),
            )
        return cipher

    def _kdf(self, key: bytes, purpose: bytes, length: int) -> bytes:
        """FLOE_KDF."""
        return HKDFExpand(SHA384(), length, self._prefix + purpose + self._aad).derive(key)

    def _aead(self, position: int) -> AESGCM:
        """DERIVE_KEY."""
        masked = position >> self._mask << self._mask
        found = self._keys.get(masked)
        if found is None:
            if not self._message_key:
                raise UsageError("the keys of this file were dropped already")
            found = AESGCM(self._kdf(self._message_key, b"DEK:" + masked.to_bytes(8, "big"), KEY_BYTES))
            if len(self._keys) >= 8:  # 8 TiB of them
                self._keys.clear()
            self._keys[masked] = found
        return found

    # Lengths

    def segments(self, length: int) -> int:
        """How many segments a plaintext of `length` bytes has: one where it is empty. Raises UsageError."""
        count = max(1, -(-length // self.payload))
        if count > MAX_SEGMENTS:
            raise UsageError(f"{length:,} bytes are more than {MAX_SEGMENTS:,} segments hold", next="split the file")
        return count

    def sealed_length(self, length: int) -> int:
        """Of header and body for a plaintext of `length` bytes."""
        return HEADER_BYTES + length + OVERHEAD * self.segments(length)

    def plain_length(self, sealed: int) -> int:
        """Of the plaintext of a ciphertext of `sealed` bytes. Raises IntegrityError where none has so many."""
        body = sealed - HEADER_BYTES
        last = body % self.segment_length
        whole = body // self.segment_length
        if body < OVERHEAD or 0 < last < OVERHEAD or whole + (last > 0) > MAX_SEGMENTS:
            raise IntegrityError(
                f"no ciphertext has {sealed:,} bytes: it was cut or something was appended",
                where=_where(self.name, f"offset {max(sealed - max(last, 0), 0)}"),
            )
        return whole * self.payload + (last - OVERHEAD if last else 0)

    # Segments

    def encrypt_segment_into(self, plaintext: Buffer, position: int, final: bool, out: memoryview) -> int:
        """encryptSegment into `out`. Returns the bytes written. Raises UsageError for a wrong length."""
        length = len(plaintext)
        if (length > self.payload) if final else (length != self.payload):
            raise UsageError(f"segment {position} cannot have {length} bytes of plaintext")
        iv = self._random(IV_BYTES)
        total = length + OVERHEAD
        out[:4] = _LENGTH.pack(total) if final else _NOT_LAST
        out[4:16] = iv
        self._aead(position).encrypt_into(iv, plaintext, _POSITION.pack(position, final), out[16:total])
        return total

    def decrypt_segment_into(self, segment: memoryview, position: int, final: bool, out: memoryview) -> int:
        """decryptSegment into `out`. Returns the bytes written. Raises IntegrityError, and then `out` holds zeros."""
        total = len(segment)
        if not (OVERHEAD <= total <= self.segment_length if final else total == self.segment_length):
            raise self.broken(position, f"it has {total} bytes")
        if segment[:4] != (_LENGTH.pack(total) if final else _NOT_LAST):
            raise self.broken(position, "it says to be " + ("the last" if not final else "another, or not the last"))
        length = total - OVERHEAD
        try:
            self._aead(position).decrypt_into(
                segment[4:16], segment[16:], _POSITION.pack(position, final), out[:length]
            )
        except InvalidTag:
            out[:length] = bytes(length)
            raise self.broken(position, "its tag is wrong") from None
        return length

    def decrypt_segment(self, segment: Buffer, position: int, *, final: bool) -> bytes:
        """decryptSegment. Raises IntegrityError."""
        out = bytearray(max(len(segment) - OVERHEAD, 0))
        self.decrypt_segment_into(memoryview(segment), position, final, memoryview(out))
        return bytes(out)

    def broken(self, position: int, why: str) -> IntegrityError:
        """The error for one segment: which, where it lies, and why it is refused."""
        offset = HEADER_BYTES + position * self.segment_length
        return IntegrityError(
            f"segment {position} is not what was sealed: {why}",
            where=_where(self.name, f"segment {position}, offset {offset}"),
            next="restore the sealed file from a copy",
        )

    def forget(self) -> None:
        """Drops the keys. Python and OpenSSL may keep copies until their memory is used again."""
        self._message_key = b""
        self._keys.clear()


def segment_length_of(header: Buffer, name: str = "") -> int:
    """What a header says of its segments' length. Raises IntegrityError for what is no header of ours."""
    if len(header) != HEADER_BYTES:
        raise IntegrityError("the header was cut", where=_where(name, "header, offset 0"))
    aead, kdf, segment_length, iv_bytes = _PARAMETERS.unpack_from(header)
    if (aead, kdf, iv_bytes) != (0, 0, FLOE_IV_BYTES) or not OVERHEAD < segment_length <= MAX_SEGMENT_LENGTH:
        raise IntegrityError("this is no FLOE header with known parameters", where=_where(name, "header, offset 0"))
    return int(segment_length)


def _where(name: str, place: str) -> str:
    return f"{name}, {place}" if name else place


# Whole ciphertexts


def encrypt(key: Buffer, plaintext: Buffer, aad: Buffer = b"", segment_length: int = SEGMENT_LENGTH) -> bytes:
    """Header and body. `key` has 32 bytes. Raises UsageError."""
    plain = memoryview(plaintext).cast("B")
    out = bytearray(HEADER_BYTES + len(plain) + OVERHEAD * max(1, -(-len(plain) // max(segment_length - OVERHEAD, 1))))
    encrypt_into(key, plain, out, aad=aad, segment_length=segment_length)
    return bytes(out)


def decrypt(key: Buffer, ciphertext: Buffer, aad: Buffer = b"") -> bytes:
    """The plaintext. Raises IntegrityError, naming the segment, and then hands out nothing."""
    sealed = memoryview(ciphertext).cast("B")
    cipher = Cipher.open(key, sealed[:HEADER_BYTES], aad=aad)
    out = bytearray(cipher.plain_length(len(sealed)))
    _decrypt_all(cipher, sealed, memoryview(out), threads=1)
    return bytes(out)


def encrypt_into(
    key: Buffer,
    plaintext: Buffer,
    buffer: bytearray | memoryview,
    *,
    aad: Buffer = b"",
    segment_length: int = SEGMENT_LENGTH,
    threads: int = 1,
) -> int:
    """Like `encrypt`, into the caller's buffer and without copies. Returns the bytes written. Raises UsageError."""
    plain, out = memoryview(plaintext).cast("B"), memoryview(buffer).cast("B")
    cipher = Cipher.start(key, aad=aad, segment_length=segment_length)
    total = cipher.sealed_length(len(plain))
    if len(out) < total:
        raise UsageError(f"the buffer has {len(out):,} bytes, and {total:,} are needed")
    out[:HEADER_BYTES] = cipher.header
    count = cipher.segments(len(plain))

    def one(position: int) -> None:
        at = position * cipher.payload
        start = HEADER_BYTES + position * segment_length
        cipher.encrypt_segment_into(
            plain[at : at + cipher.payload], position, position == count - 1, out[start : start + segment_length]
        )

    _each(one, count, threads)
    return total


def decrypt_into(
    key: Buffer, ciphertext: Buffer, buffer: bytearray | memoryview, *, aad: Buffer = b"", threads: int = 1
) -> int:
    """Like `decrypt`, into the caller's buffer and without copies. Returns the bytes written.

    Raises IntegrityError, and then the buffer holds zeros; UsageError where it is too small.
    """
    sealed, out = memoryview(ciphertext).cast("B"), memoryview(buffer).cast("B")
    cipher = Cipher.open(key, sealed[:HEADER_BYTES], aad=aad)
    length = cipher.plain_length(len(sealed))
    if len(out) < length:
        raise UsageError(f"the buffer has {len(out):,} bytes, and {length:,} are needed")
    try:
        _decrypt_all(cipher, sealed, out[:length], threads)
    except BaseException:
        out[:length] = bytes(length)
        raise
    return length


def _decrypt_all(cipher: Cipher, sealed: memoryview, out: memoryview, threads: int) -> None:
    size = cipher.segment_length
    count = -(-(len(sealed) - HEADER_BYTES) // size)

    def one(position: int) -> None:
        start = HEADER_BYTES + position * size
        at = position * cipher.payload
        cipher.decrypt_segment_into(
            sealed[start : start + size], position, position == count - 1, out[at : at + cipher.payload]
        )

    one(count - 1)  # whether it ends where it says comes first
    _each(one, count - 1, threads)


def _each(work: Callable[[int], None], count: int, threads: int) -> None:
    """Calls `work` for each number below `count`; each thread takes a stretch, so that memory is walked in order."""
    if threads <= 1 or count <= 1:
        for number in range(count):
            work(number)
        return
    borders = [count * part // threads for part in range(threads + 1)]

    def stretch(part: int) -> None:
        for number in range(borders[part], borders[part + 1]):
            work(number)

    side_by_side((partial(stretch, part) for part in range(threads)), threads)


# Streams


class Encryptor:
    """encryptOnlineSegment and encryptLastSegment: bytes in pieces of any length in, ciphertext out.

    >>> stream = Encryptor(Cipher.start(bytes(32)))
    >>> sealed = stream.cipher.header + stream.update(b"a" * 3) + stream.finalize()
    >>> decrypt(bytes(32), sealed)
    b'aaa'
    """

    def __init__(self, cipher: Cipher) -> None:
        self.cipher = cipher
        self.length = 0
        """Bytes of plaintext so far."""
        self._waiting = bytearray(cipher.payload)
        self._filled = 0
        self._position = 0
        self._closed = False

    def update(self, data: Buffer) -> bytes:
        """The segments that are full now; the last one waits, as it may be the final. Raises UsageError once closed."""
        self._check()
        view = memoryview(data).cast("B")
        self.length += len(view)
        payload, done = self.cipher.payload, []
        while view:
            if self._filled == payload:
                with memoryview(self._waiting) as waiting:
                    done.append(self._segment(waiting, final=False))
                self._filled = 0
            if not self._filled and len(view) > payload:  # without a copy
                done.append(self._segment(view[:payload], final=False))
                view = view[payload:]
                continue
            part = view[: payload - self._filled]
            self._waiting[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            view = view[len(part) :]
        return b"".join(done)

    def finalize(self) -> Buffer:
        """The final segment, which may be empty. Raises UsageError once closed."""
        self._check()
        self._closed = True
        with memoryview(self._waiting) as waiting:
            last = self._segment(waiting[: self._filled], final=True)
        self._waiting[:] = bytes(len(self._waiting))
        return last

    def _check(self) -> None:
        if self._closed:
            raise UsageError("the final segment was written already")

    def _segment(self, plaintext: memoryview, *, final: bool) -> bytearray:
        if not final and self._position == MAX_SEGMENTS - 1:
            raise UsageError(f"more than {MAX_SEGMENTS:,} segments cannot be written", next="split the file")
        out = bytearray(len(plaintext) + OVERHEAD)
        self.cipher.encrypt_segment_into(plaintext, self._position, final, memoryview(out))
        self._position += 1
        return out


class Decryptor:
    """decryptOnlineSegment and decryptLastSegment: a body in pieces in, plaintext out, segment after segment.

    What `update` returns is authentic, but only `finalize` says that nothing is missing at the end.

    >>> sealed = encrypt(bytes(32), b"abc")
    >>> stream = Decryptor(Cipher.open(bytes(32), sealed[:HEADER_BYTES]))
    >>> stream.update(sealed[HEADER_BYTES:-1]), stream.update(sealed[-1:]), stream.finalize()
    (b'', b'', b'abc')
    """

    def __init__(self, cipher: Cipher) -> None:
        self.cipher = cipher
        self._waiting = bytearray()
        self._position = 0

    def update(self, data: Buffer) -> bytes:
        """The plaintext of the segments that are whole now and not the last. Raises IntegrityError."""
        self._waiting += data
        size = self.cipher.segment_length
        done = []
        while len(self._waiting) > size:
            done.append(self.cipher.decrypt_segment(bytes(self._waiting[:size]), self._position, final=False))
            del self._waiting[:size]
            self._position += 1
        return b"".join(done)

    def finalize(self) -> bytes:
        """The plaintext of the final segment. Raises IntegrityError where the body ends too early or too late."""
        return self.cipher.decrypt_segment(bytes(self._waiting), self._position, final=True)
