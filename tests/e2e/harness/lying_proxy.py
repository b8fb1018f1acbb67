"""A proxy before a real cache that passes requests on and lies about some of the answers."""

import socket
import struct
import time

from . import http_client
from .recorder import Recorder, parse


class LyingProxy(Recorder):
    """`lie(number, target)` is asked for each request, counted from 1; it returns what to do:

    None: pass the cache's answer on. 'reset': RST in its place. 'close': the answer, then the end.
    'cut': half the answer, then the end. 'drop': the end without asking the cache. A number: answer
    with that status without asking the cache.
    """

    def __init__(self, upstream, lie=lambda number, target: None):
        self.seen = []  # (time_ns of reading, time_ns of answering well, target)
        self.lies = 0
        self._upstream, self._lie = upstream, lie
        self._count = 0
        super().__init__()

    def _take(self, connection, buffer):
        while b'\r\n\r\n' in buffer:
            request, _, rest = bytes(buffer).partition(b'\r\n\r\n')
            buffer[:] = rest
            if not self._answer(connection, request):
                return False
        return True

    def _answer(self, connection, request):
        read_at = time.monotonic_ns()
        method, target, host = parse(request)
        self._count += 1
        lie = self._lie(self._count, target)
        self.lies += lie is not None
        if lie == 'drop':
            return False
        if isinstance(lie, int):
            connection.sendall(b'HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n' % lie)
            return True
        answer = http_client.request(self._upstream, method, target, host)
        if lie == 'reset':  # lingering for no time sends RST
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            return False
        # Who made it stays in it, or nobody would take it for a cache's.
        maker = ''.join(f'{name}: {answer.headers[name]}\r\n'
                        for name in ('server', 'x-purgeline-purged') if name in answer.headers)
        text = (f'HTTP/1.1 {answer.status} {answer.reason}\r\n{maker}'
                'Content-Length: 0\r\n\r\n').encode()
        if lie == 'cut':
            connection.sendall(text[:len(text) // 2])
            return False
        # Before it is written: afterwards the sender may be ahead of this thread.
        if answer.status in (200, 204, 404):
            self.seen.append((read_at, time.monotonic_ns(), target))
        connection.sendall(text)
        return lie != 'close'
