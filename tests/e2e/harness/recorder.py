"""A server of this process that takes requests from caches' clients, on one thread."""

import selectors
import socket
import threading


class Recorder:
    """Reads what arrives on any connection and hands it to `_take(connection, buffer)`, which says
    False when the connection is to be closed; so does an error of the connection in it.
    """

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=128)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.address = f'127.0.0.1:{self.port}'
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
        try:
            data = connection.recv(1 << 18)
            if not data:
                return False
            buffer += data
            return self._take(connection, buffer)
        except OSError:
            return False


def parse(request):
    """The method, target and host of a request without its empty line."""
    lines = request.decode('latin-1').split('\r\n')
    method, target, _ = lines[0].split(' ')
    host = next(line[6:] for line in lines[1:] if line.lower().startswith('host: '))
    return method, target, host
