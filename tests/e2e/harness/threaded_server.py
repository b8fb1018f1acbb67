"""An HTTP server on threads of this process."""

import threading
from http.server import ThreadingHTTPServer


class ThreadedServer:
    """`handler` answers the requests; subclasses make what it needs before they call this."""

    def __init__(self, handler):
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.address = f'127.0.0.1:{self.port}'
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def cleanup(self):
        self._server.shutdown()
        self._server.server_close()
