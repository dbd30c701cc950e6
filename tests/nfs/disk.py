"""A disk that forgets: what was not flushed when the power goes may be lost, in any order.

Speaks the NBD protocol (github.com/NetworkBlockDevice/nbd, doc/proto.md) on a UNIX socket, as much
of it as QEMU asks for. Writes stay in memory until a flush sends all of them to the file;
power_off() throws away what is still there, or a random part of it, 4096 bytes by 4096 bytes. A
flush takes a while, as it does everywhere, so that there usually is something to lose.
"""

import os
import random
import socket
import struct
import threading
import time

FLUSH_S = 0.003
BLOCK = 4096  # what the file system writes at least; QEMU is told to do the same
READ, WRITE, DISCONNECT, FLUSH = range(4)
OPTION_ABORT, OPTION_INFO, OPTION_GO = 2, 6, 7
REPLY_ACK, REPLY_INFO, REPLY_UNSUPPORTED = 1, 3, 0x80000001
INFO_EXPORT, INFO_BLOCK_SIZE = 0, 3
HAS_FLAGS, SEND_FLUSH = 1, 4


class ForgetfulDisk:
    """Serves one connection at a time from a file; each boot connects anew."""

    def __init__(self, path, socket_path, seed):
        self.file = os.open(path, os.O_RDWR)
        self.bytes = os.fstat(self.file).st_size
        self.cache = {}  # block number: its unflushed content
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.power = threading.Event()
        self.power.set()
        self.life = 0  # counts the times that the power was on
        self.served_life = 0  # of whoever is connected
        self.flushes = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(socket_path)
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def power_off(self, keep):
        """Forgets what was not flushed; each block survives with the probability `keep`. Returns
        how many were lost and how many survived. Nothing is answered any more: kill the guest."""
        with self.lock:
            self.power.clear()
            self.life += 1
            kept = [number for number in sorted(self.cache) if self.random.random() < keep]
            lost = len(self.cache) - len(kept)
            self._write_out(kept)
            self.cache.clear()
            return lost, len(kept)

    def power_on(self):
        """For the next guest, when the old one is dead."""
        self.power.set()

    def close(self):
        self.listener.close()
        os.close(self.file)

    def _write_out(self, numbers):
        for number in numbers:
            os.pwrite(self.file, self.cache[number], number * BLOCK)

    # ---- What the guest's disk does, under the lock -------------------------------------------

    def _read(self, offset, length):
        content = bytearray(os.pread(self.file, length, offset))
        for number in range(offset // BLOCK, (offset + length - 1) // BLOCK + 1):
            if number in self.cache:
                at = number * BLOCK - offset
                content[at:at + BLOCK] = self.cache[number]
        return bytes(content)

    def _write(self, offset, content):
        for at in range(0, len(content), BLOCK):
            self.cache[(offset + at) // BLOCK] = content[at:at + BLOCK]

    def _flush(self):
        self._write_out(self.cache)
        self.cache.clear()
        self.flushes += 1

    def _do(self, kind, offset, length, content):
        assert offset % BLOCK == 0 and length % BLOCK == 0, "QEMU was told the size of blocks"
        if kind == FLUSH:
            time.sleep(FLUSH_S)
        with self.lock:
            if self.served_life == self.life:
                if kind == READ:
                    return self._read(offset, length)
                if kind == WRITE:
                    self._write(offset, content)
                if kind == FLUSH:
                    self._flush()
                return b""
        self.power.wait()
        raise EOFError  # whoever asked is dead by now

    # ---- The protocol ---------------------------------------------------------------------------

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # closed
            self.served_life = self.life
            with connection, connection.makefile("rb") as stream:
                try:
                    if self._agree(connection, stream):
                        self._transmit(connection, stream)
                except (EOFError, ConnectionError):
                    pass

    @staticmethod
    def _take(stream, form):
        size = struct.calcsize(form)
        return struct.unpack(form, ForgetfulDisk._need(stream, size))

    @staticmethod
    def _need(stream, size):
        content = stream.read(size)
        if len(content) < size:
            raise EOFError
        return content

    def _agree(self, connection, stream):
        """The handshake; true: go on with requests."""
        connection.sendall(struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 3))
        self._take(stream, ">I")
        while True:
            _, option, length = self._take(stream, ">8sII")
            self._need(stream, length)

            def reply(kind, content=b"", to=option):
                connection.sendall(struct.pack(">QIII", 0x3E889045565A9, to, kind, len(content))
                                   + content)

            if option in (OPTION_INFO, OPTION_GO):
                reply(REPLY_INFO, struct.pack(">HQH", INFO_EXPORT, self.bytes,
                                              HAS_FLAGS | SEND_FLUSH))
                reply(REPLY_INFO, struct.pack(">HIII", INFO_BLOCK_SIZE, BLOCK, BLOCK, 1 << 25))
                reply(REPLY_ACK)
                if option == OPTION_GO:
                    return True
            elif option == OPTION_ABORT:
                reply(REPLY_ACK)
                return False
            else:
                reply(REPLY_UNSUPPORTED)

    def _transmit(self, connection, stream):
        while True:
            _, _, kind, cookie, offset, length = self._take(stream, ">IHHQQI")
            if kind == DISCONNECT:
                return
            content = self._need(stream, length) if kind == WRITE else b""
            answer = self._do(kind, offset, length, content)
            connection.sendall(struct.pack(">IIQ", 0x67446698, 0, cookie) + answer)
