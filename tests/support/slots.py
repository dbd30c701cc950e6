"""The log of an archive, read by code that shares no line with the program's: heads of slots as
docs/backup-format.md draws them."""

import ctypes
import struct
from dataclasses import dataclass

HEAD = struct.Struct("<8sII16s16sQQQQQQQII16sQ")
FENCE = 1


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


XXHASH = ctypes.CDLL("libxxhash.so.0")
XXHASH.XXH3_128bits.restype = Hash128
XXHASH.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def xxh3_128(data):
    """In canonical order."""
    value = XXHASH.XXH3_128bits(data, len(data))
    return struct.pack(">QQ", value.high, value.low)


@dataclass(frozen=True)
class Slot:
    seq: int
    epoch: int
    nonce: bytes
    is_fence: bool
    base_lsn: int
    first_lsn: int
    last_lsn: int
    prev: bytes  # the hash of the slot before
    hash: bytes  # of all of it


def read_slots(client, bucket, under):
    """All slots below a prefix, in their order."""
    slots = []
    for key in sorted(client.list(bucket, f"{under}log/")):
        stored = client.get(bucket, key)
        (magic, version, flags, _, nonce, epoch, seq, base, first, last, _, _, _, _, prev,
         _) = HEAD.unpack_from(stored)
        assert (magic, version, seq) == (b"SATCHLOG", 1, int(key[-16:], 16)), key
        slots.append(Slot(seq, epoch, nonce, bool(flags & FENCE), base, first, last, prev,
                          xxh3_128(stored)))
    return slots
