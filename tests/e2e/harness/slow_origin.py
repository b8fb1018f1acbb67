"""An origin whose answers a test holds back and lets go, and a proxy that does so with a cache's.

What an answer says is settled when its request is read, as with a page that is rendered from a
database: a change that comes while the answer is held is not in it.
"""

import threading
import time
from collections import namedtuple
from http.server import BaseHTTPRequestHandler

from . import http_client
from .process import wait_for
from .threaded_server import ThreadedServer

# Times are those of the wall clock, to be compared with the logs of caches. `ended` is taken before
# the last byte is written, so the cache cannot have been done with the answer at that time.
Fetch = namedtuple('Fetch', 'page version status begun ended')


class _Answers(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    wbufsize = 1 << 16  # one packet per answer: two would wait for the delayed ACK
    owner = None

    def do_GET(self):
        begun = time.time()
        version, status, headers, body = self.owner.read(self.path, self.headers)
        self.owner.pass_gate(self.path, 'head')
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status == 304:
            body = b''
        else:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.owner.is_held(self.path):
            self.wfile.write(body[:len(body) // 2])
            self.wfile.flush()
            body = body[len(body) // 2:]
            self.owner.pass_gate(self.path, 'body')
        self.owner.note(Fetch(self.path, version, status, begun, time.time()))
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class SlowServer(ThreadedServer):
    """Lets a test stop the answers to a page; subclasses say in read() what the answers are."""

    def __init__(self):
        self._lock = threading.Lock()
        self._gates = {}  # page: before which part, and the event that lets its answers go
        self._held = []   # pages whose answers wait
        self._fetches = []
        handler = type('Answers', (_Answers,), {'owner': self})
        super().__init__(handler)

    def read(self, page, headers):
        """Version, status, headers and body of the answer, settled now."""
        raise NotImplementedError

    def hold(self, page, part='head'):
        """The next answer for the page waits until release(), and so do all that come before that:
        wholly, or at part='body' with half of the body.
        """
        with self._lock:
            self._gates[page] = part, threading.Event()

    def wait_held(self, page):
        wait_for(lambda: page in self._held, 10, f'an answer for {page} is held')

    def release(self, page):
        with self._lock:
            self._gates.pop(page)[1].set()

    def fetches(self, page):
        """The answers that were given for the page, oldest first."""
        with self._lock:
            return [fetch for fetch in self._fetches if fetch.page == page]

    def is_held(self, page):
        with self._lock:
            return page in self._gates

    def pass_gate(self, page, part):
        with self._lock:
            held, gate = self._gates.get(page, (None, None))
            if held != part:
                return
            self._held.append(page)
        gate.wait()
        with self._lock:
            self._held.remove(page)

    def note(self, fetch):
        with self._lock:
            self._fetches.append(fetch)

    def cleanup(self):
        with self._lock:
            gates, self._gates = self._gates, {}
        for _, gate in gates.values():
            gate.set()
        super().cleanup()


class SlowOrigin(SlowServer):
    """Serves `PAGE version N` with an ETag, and 304 to those who have that version."""

    def __init__(self):
        super().__init__()
        self._versions = {}
        self._lagging = {}  # page: the version that is still served
        self._max_ages = {}

    def change(self, page):
        """Makes a new version of the page; returns it and when that was."""
        with self._lock:
            now = time.time()  # before: nothing of the new version was served until then
            self._versions[page] = self._versions.get(page, 1) + 1
            return self._versions[page], now

    def lag(self, page):
        """Changes of the page are not served until catch_up()."""
        with self._lock:
            self._lagging[page] = self._versions.get(page, 1)

    def catch_up(self, page):
        with self._lock:
            del self._lagging[page]

    def set_max_age(self, page, seconds):
        with self._lock:
            self._max_ages[page] = seconds

    def read(self, page, headers):
        with self._lock:
            version = self._lagging.get(page, self._versions.get(page, 1))
            max_age = self._max_ages.get(page, 3600)
        tag = f'"{version}"'
        status = 304 if headers.get('If-None-Match') == tag else 200
        fields = {'Content-Type': 'text/plain', 'Cache-Control': f'public, max-age={max_age}',
                  'ETag': tag}
        return version, status, fields, f'{page} version {version}\n'.encode()


class SlowProxy(SlowServer):
    """Between two caches: what it answers is what the upstream said when the request was read."""

    PASSED_ON = ('cache-control', 'age', 'etag', 'content-type')

    def __init__(self, upstream):
        super().__init__()
        self._upstream = upstream

    def read(self, page, headers):
        answer = http_client.request(self._upstream, 'GET', page, headers['Host'])
        fields = {name: answer.headers[name] for name in self.PASSED_ON if name in answer.headers}
        return answer.body, answer.status, fields, answer.body.encode()
