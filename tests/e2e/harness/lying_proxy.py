"""A proxy before a real cache that passes requests on and lies about some of the answers."""

import selectors
import socket
import struct
import threading
import time

from . import http_client


class LyingProxy:
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
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=128)
        self._listener.setblocking(False)
        self.address = f'127.0.0.1:{self._listener.getsockname()[1]}'
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def cleanup(self):
        self._stopped.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def _serve(self):
        while not self._stopped.is_set():
            for key, _ in self._selector.select(0.05):
                if key.data is None:
                    connection, _ = self._listener.accept()
                    connection.settimeout(5)
                    self._selector.register(connection, selectors.EVENT_READ, bytearray())
                elif not self._read(key.fileobj, key.data):
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()

    def _read(self, connection, buffer):
        """False when the connection is to be closed."""
        try:
            data = connection.recv(1 << 16)
            if not data:
                return False
            buffer += data
            while b'\r\n\r\n' in buffer:
                request, _, rest = bytes(buffer).partition(b'\r\n\r\n')
                buffer[:] = rest
                if not self._answer(connection, request.decode('latin-1').split('\r\n')):
                    return False
        except OSError:
            return False
        return True

    def _answer(self, connection, lines):
        read_at = time.monotonic_ns()
        method, target, _ = lines[0].split(' ')
        host = next(line[6:] for line in lines[1:] if line.lower().startswith('host: '))
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
        text = f'HTTP/1.1 {answer.status} {answer.reason}\r\nContent-Length: 0\r\n\r\n'.encode()
        if lie == 'cut':
            connection.sendall(text[:len(text) // 2])
            return False
        # Before it is written: afterwards the sender may be ahead of this thread.
        if answer.status in (200, 204, 404):
            self.seen.append((read_at, time.monotonic_ns(), target))
        connection.sendall(text)
        return lie != 'close'
