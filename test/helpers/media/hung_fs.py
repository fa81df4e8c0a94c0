"""A file system that hangs, mounted at argv[1] by root: `film.mkv` opens and never gives a byte, the name `stuck.mkv` is
never found or not found, and how much space there is never told. Ends, and answers everything with an error, when its
stdin closes."""

import ctypes
import errno
import os
import select
import struct
import sys

LOOKUP, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT = 1, 3, 14, 15, 17, 18, 25, 26
FILM = 2
target = sys.argv[1].encode()
libc = ctypes.CDLL(None, use_errno=True)
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
if libc.mount(b"hung", target, b"fuse", 0, options) != 0:
    sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")


def attributes(node: int) -> bytes:
    mode, size = (0o100644, 1 << 20) if node == FILM else (0o040755, 0)
    return struct.pack("<6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(opcode: int, node: int, body: bytes) -> bytes | int | None:
    """Gives a body, an errno, or None for no answer at all."""
    if opcode == INIT:
        return struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 12, 9, 131072, 1, 32, 0, *([0] * 8))
    if opcode == GETATTR:
        return struct.pack("<QII", 1, 0, 0) + attributes(node)
    if opcode == LOOKUP:
        name = body.split(b"\0")[0]
        if name == b"film.mkv":
            return struct.pack("<4QII", FILM, 0, 0, 1, 0, 0) + attributes(FILM)
        return None if name == b"stuck.mkv" else errno.ENOENT
    if opcode == OPEN:
        return struct.pack("<QII", 0, 0, 0)
    if opcode in (READ, STATFS):
        return None
    return b"" if opcode in (RELEASE, FLUSH) else errno.ENOSYS


print("mounted", flush=True)
while True:
    ready, _, _ = select.select([fuse, sys.stdin], [], [])
    if sys.stdin in ready:
        libc.umount2(target, 2)
        sys.exit()
    request = os.read(fuse, 1 << 18)
    length, opcode, unique, node = struct.unpack_from("<IIQQ", request)
    reply = answer(opcode, node, request[40:length])
    if reply is None:
        continue
    error, body = (-reply, b"") if isinstance(reply, int) else (0, reply)
    os.write(fuse, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
