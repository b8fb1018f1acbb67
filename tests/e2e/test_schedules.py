#!/usr/bin/env python3
"""The simulator's schedules on real caches: tests/sim/schedules/README.md says what each step is.

What they show does not depend on Purgeline, which is not started: without a fence, purges leave old
pages behind, and the simulator's model of caches is right about when.
"""

import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from harness import (ServerTestCase, ThreadedServer, TrafficServer, Varnish, http_client, main,
                     start_all, wait_for)

SCHEDULES = Path(__file__).resolve().parents[1] / 'sim' / 'schedules'
HOST = 'schedule.example'
SHORT = 1   # seconds a copy lives when its schedule lets it expire
LONG = 3600

# A copy that has expired can still be refreshed.
KEEP = 'sub vcl_backend_response { set beresp.keep = 1h; }\n'

# A fill that may be read while it goes on also goes on without its reader.
BACKGROUND_FILL = '''\
CONFIG proxy.config.http.background_fill_active_timeout INT 0
CONFIG proxy.config.http.background_fill_completed_threshold FLOAT 0.0
CONFIG proxy.config.cache.max_doc_size INT 0
'''
# A reader may refuse the copy that is there, as browsers do on a reload.
HEED_NO_CACHE = 'CONFIG proxy.config.http.cache.ignore_client_no_cache INT 0\n'


class HoldingOrigin(ThreadedServer):
    """Looks a page up when it is asked, and keeps the answer while it is told to.

    The page's body is its version; its ETag says so too, so that an unchanged one is answered 304.
    """

    def __init__(self):
        self.version = self.shown = 1
        self.lifetime = LONG
        self.asked = 0
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            wbufsize = 1 << 16

            def do_GET(self):
                with origin._lock:
                    version, lifetime = origin.shown, origin.lifetime
                    gate = origin._open
                    origin.asked += 1
                tag, body = f'"{version}"', f'{version}'.encode()
                gate.wait(60)
                known = self.headers.get('If-None-Match') == tag
                self.send_response(304 if known else 200)
                self.send_header('ETag', tag)
                self.send_header('Cache-Control', f'public, max-age={lifetime}')
                if not known:
                    self.send_header('Content-Type', 'text/plain')
                    self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                if not known:
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(Handler)

    def hold(self):
        self._open = threading.Event()

    def release(self):
        self._open.set()

    def reset(self):
        self.release()
        self.version = self.shown = 1

    def cleanup(self):
        self.release()
        super().cleanup()


def read_schedule(path):
    """The steps as lists of words, each with its line."""
    lines = enumerate(path.read_text().splitlines(), 1)
    steps = [(number, line.split('#')[0].split()) for number, line in lines]
    return [(number, words) for number, words in steps if words]


class Reader(threading.Thread):
    """One GET whose answer is not waited for."""

    def __init__(self, cache, target, headers=None):
        super().__init__(daemon=True)
        self._request = (cache.address, 'GET', target, HOST, headers, 60)
        self.answer = None
        self.start()

    def run(self):
        self.answer = http_client.request(*self._request)


class Schedule:
    """Runs the steps of one file on one page."""

    def __init__(self, test, steps, target, caches, origin):
        self.test, self.steps, self.target = test, steps, target
        self.caches, self.origin = caches, origin
        self.readers = []

    def run(self):
        # Answers before an `expire` live short, those after it long.
        for at, (number, words) in enumerate(self.steps):
            left = [later[0] for _, later in self.steps[at:]]
            self.origin.lifetime = SHORT if 'expire' in left else LONG
            with self.test.subTest(line=number, step=' '.join(words)):
                getattr(self, words[0])(*words[1:])

    def only(self, _):
        pass

    option = only

    def change(self, how=''):
        self.origin.version += 1
        if how != 'unseen':
            self.seen()

    def seen(self):
        self.origin.shown = self.origin.version

    def hold(self):
        self.origin.hold()

    def release(self):
        self.origin.release()
        for reader in self.readers:
            reader.join(30)
            self.test.assertIsNotNone(reader.answer, 'a reader got no answer')
        self.readers.clear()

    def get(self, cache):
        for name in ('backend', 'frontend') if cache == 'frontend' else (cache,):
            self.read(name)
            self.stored(name)

    def ask(self, cache, headers=None):
        before = self.origin.asked
        self.readers.append(Reader(self.caches[cache], self.target, headers))
        wait_for(lambda: self.origin.asked > before, 10, 'the origin is asked')

    def refresh(self, cache):
        self.ask(cache, {'Cache-Control': 'no-cache'})

    def purge(self, cache):
        answer = http_client.request(self.caches[cache].address, 'PURGE', self.target, HOST)
        self.test.assertIn(answer.status, (200, 204, 404))

    def expire(self):
        # No copy is older than this moment; ages are whole seconds.
        end = time.monotonic() + SHORT + 1.2
        wait_for(lambda: time.monotonic() > end, 10, 'copies expire')

    def stored(self, cache):
        wait_for(lambda: self.caches[cache].cached(HOST, self.target), 10,
                 f'{cache} has a copy')

    def expect(self, cache, what):
        latest = str(self.origin.version)
        body = self.read(cache)
        self.test.assertEqual('new' if body == latest else 'old', what,
                              f'version {body} of {latest}')

    def read(self, cache):
        answer = http_client.request(self.caches[cache].address, 'GET', self.target, HOST)
        self.test.assertEqual(answer.status, 200, answer)
        if self.origin._open.is_set():
            # What a cache has sent it may store a moment later.
            self.stored(cache)
        return answer.body


class Schedules(ServerTestCase):
    """Every schedule that fits the backend, on a page of its own."""

    backend = None  # makes it, from the origin's address and an option

    @classmethod
    def setUpClass(cls):
        cls.origin = HoldingOrigin()
        cls.addClassCleanup(cls.origin.cleanup)
        cls.pairs = {}

    def pair(self, option):
        """The caches with this option of the backend; they are started once."""
        if option not in self.pairs:
            backend = self.backend(option)
            frontend = Varnish(backend.address, more=KEEP)
            self.keep(backend, frontend)
            start_all(backend, frontend)
            self.pairs[option] = {'backend': backend, 'frontend': frontend}
        return self.pairs[option]

    def run_all(self, name):
        ran = 0
        for path in sorted(SCHEDULES.glob('*.txt')):
            steps = read_schedule(path)
            if any(words[0] == 'only' and words[1] != name for _, words in steps):
                continue
            option = next((words[1] for _, words in steps if words[0] == 'option'), None)
            self.origin.reset()
            with self.subTest(schedule=path.stem):
                caches = self.pair(option)
                Schedule(self, steps, f'/{path.stem}', caches, self.origin).run()
            ran += 1
        self.assertGreaterEqual(ran, 10)


class OnTrafficServer(Schedules):
    """Traffic Server as backend, Varnish as frontend."""

    def backend(self, option):
        read_while_writer = option == 'read-while-writer'
        cache = TrafficServer(self.origin.address, read_while_writer=read_while_writer)
        with open(cache.folder / 'etc' / 'records.config', 'a') as records:
            records.write(HEED_NO_CACHE)
            if read_while_writer:
                records.write(BACKGROUND_FILL)
        return cache

    def test_schedules(self):
        self.run_all('trafficserver')


class OnVarnish(Schedules):
    """Varnish as both. It always streams, so there is no option for it."""

    def backend(self, _):
        return Varnish(self.origin.address, more=KEEP)

    def test_schedules(self):
        self.run_all('varnish')


del Schedules  # no tests of its own

if __name__ == '__main__':
    main()
