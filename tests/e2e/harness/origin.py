"""The origin server behind the caches, and recording sinks that stand in for caches."""

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler

from .recorder import Recorder, parse
from .threaded_server import ThreadedServer


class Origin(ThreadedServer):
    """Serves `PATH version N` for every path and counts who asked, on threads of this process."""

    def __init__(self):
        self._version = 1
        self._requests = Counter()
        self._lock = threading.Lock()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            wbufsize = 1 << 16  # one packet per answer: two would wait for the delayed ACK

            def do_GET(self):
                with origin._lock:
                    origin._requests[(self.headers.get('Host'), self.path)] += 1
                    body = f'{self.path} version {origin._version}\n'.encode()
                self.send_response(200)
                self.send_header('Content-Type', 'text/plain')
                self.send_header('Content-Length', str(len(body)))
                self.send_header('Cache-Control', 'public, max-age=3600')
                self.end_headers()
                self.wfile.write(body)

            def do_PURGE(self):
                # Many an application answers any method like this, and has purged nothing.
                self.send_response(200)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(Handler)

    def bump(self):
        """Changes every page; returns the new version."""
        with self._lock:
            self._version += 1
            return self._version

    def requests(self, path):
        """How often the path was fetched, whatever the host."""
        with self._lock:
            return sum(n for (_, seen), n in self._requests.items() if seen == path)


class PurgeSink(Recorder):
    """Answers 204 to every purge, pipelined or not, and keeps each with the time it was answered.

    One thread serves all connections. The times are monotonic and shared by all sinks of a test, so
    they tell the order across layers: a request is stamped when read, its answer when written.
    """

    ANSWER = b'HTTP/1.1 204 Purged\r\n\r\n'

    def __init__(self):
        self.seen = []  # (time_ns of reading, time_ns of answering, host, target)
        super().__init__()

    def urls(self, of):
        """How often each (host, target) of a host was purged; a daemon also probes its targets."""
        return Counter((host, target) for _, _, host, target in list(self.seen) if host == of)

    def _take(self, connection, buffer):
        *requests, rest = bytes(buffer).split(b'\r\n\r\n')
        buffer[:] = rest
        read_at = time.monotonic_ns()
        parsed = [self._parse(request) for request in requests]
        # Stamped before it is written: afterwards the sender may be ahead of this thread.
        answered_at = time.monotonic_ns()
        self.seen.extend((read_at, answered_at, host, target) for host, target in parsed)
        try:
            connection.sendall(self.ANSWER * len(parsed))
        except OSError:
            pass  # the purge counts as done: the sender is free to ask again
        return True

    @staticmethod
    def _parse(request):
        method, target, host = parse(request)
        if method != 'PURGE':
            raise AssertionError(f'not a purge: {method} {target}')
        return host, target


def purged_early(before, behind, host):
    """The URLs of `host` that the sink behind was asked to purge before the one in front of it had
    answered its first purge."""
    answered = {}
    for _, answered_at, *url in before.seen:
        answered.setdefault(tuple(url), answered_at)
    return [url for read_at, _, *url in behind.seen
            if url[0] == host and answered[tuple(url)] > read_at]
