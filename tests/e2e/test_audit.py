"""The audit on real caches: a planted stale copy is found and purged again, and no look of it ever
reaches the origin.
"""

import json
import threading
import time
from collections import Counter
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from harness import (Purgeline, ServerTestCase, ThreadedServer, TrafficServer, Varnish, free_port,
                     http_client, main, wait_for)

ROOT = Path(__file__).parents[2]
HOST = 'en.example.org'
# So that the answer of a page that is held counts as being fetched until its last byte.
VCL = f'''
vcl 4.1;
include "{ROOT}/conf/purge.vcl";
backend default {{ .host = "127.0.0.1"; .port = "%s"; }}
sub vcl_backend_response {{ set beresp.do_stream = false; set beresp.grace = 0s; }}
'''


class Origin(ThreadedServer):
    """Counts what is asked. Of pages under /held/ the head is sent at once, and the body, which is
    that of the moment of asking, after release() of that page or of all. Pages under /expired/ are
    too old from the start and say that they must not be used without asking.
    """

    def __init__(self):
        self.version = 1
        self.asked = Counter()
        self.held = {}  # path: the Date that its head was sent with
        self._released = threading.Condition()
        self._free = set()
        self._all_free = False
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                origin.asked[self.path] += 1
                body = f'version {origin.version}\n'.encode()
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.send_header('Last-Modified', 'Mon, 24 Nov 2025 10:00:00 GMT')
                if self.path.startswith('/expired/'):
                    self.send_header('Cache-Control', 's-maxage=50, must-revalidate, max-age=0')
                    self.send_header('Age', '100')
                else:
                    self.send_header('Cache-Control', 'public, max-age=3600')
                self.end_headers()
                if self.path.startswith('/held/') and not origin.is_free(self.path):
                    origin.held[self.path] = time.time()
                    with origin._released:
                        origin._released.wait_for(lambda: origin.is_free(self.path), 60)
                self.wfile.write(body)

            do_HEAD = do_GET
            do_PURGE = do_GET

            def log_message(self, *_):
                pass

        super().__init__(Handler)

    def is_free(self, page):
        return self._all_free or page in self._free

    def release(self, page=None):
        with self._released:
            if page is None:
                self._all_free = True
            else:
                self._free.add(page)
            self._released.notify_all()

    def cleanup(self):
        self.release()
        super().cleanup()


class AuditTestCase(ServerTestCase):
    def setUp(self):
        super().setUp()
        self.origin = Origin()
        self.addCleanup(self.origin.cleanup)

    def traffic_server(self):
        server = TrafficServer(self.origin.address)
        shipped = (ROOT / 'conf/trafficserver/cache.config').read_text()
        (server.folder / 'etc/cache.config').write_text(shipped)
        return server.start()

    def varnish(self, vcl=None):
        return Varnish(self.origin.address, vcl=vcl).start()

    def daemon(self, target, fence=None):
        self.http = f'127.0.0.1:{free_port()}'
        audit = {'sample': '100%', 'budget': '100%', 'clock_margin': '0s'}
        return Purgeline(None, [], [('cache', [target])],
                         {'intake': {'http': {'listen': [self.http]}},
                          'purge': {'audit': audit, **({'fence': fence} if fence else {})}}).start()

    def purge(self, page):
        """Returns when the cache has answered."""
        answer = http_client.request(self.http, 'PURGE', page, HOST, {'Prefer': 'wait=10'})
        self.assertEqual(answer.status, 200, answer)

    @staticmethod
    def audit(daemon):
        return json.loads(http_client.request(daemon.admin, 'GET', '/audit').body)

    @staticmethod
    def looks(daemon, **labels):
        return daemon.metric('purgeline_audit_looks_total', **labels)


class TestStaleCopies(AuditTestCase):
    def assert_planted_copy_is_found(self, cache, target, how):
        daemon = self.daemon(target)
        page = '/held/page'
        got = []
        client = threading.Thread(target=lambda: got.append(cache.get(HOST, page)))
        client.start()
        self.addCleanup(client.join)
        self.addCleanup(self.origin.release)
        wait_for(lambda: page in self.origin.held, 10, 'the cache fetches the page')
        # Its Date has whole seconds, and another one is what the audit leaves for that.
        wait_for(lambda: time.time() > self.origin.held[page] + 2.2, 10, 'the copy is old')
        self.origin.version += 1
        self.purge(page)
        self.origin.release()
        client.join()
        self.assertIn('version 1', got[0].body, 'what was being fetched')
        daemon.wait_metric('purgeline_stale_after_purge_total', 1, stage='first', timeout=20)
        daemon.wait_metric('purgeline_audit_purged_again_total', 1)
        wait_for(lambda: not cache.cached(HOST, page), 10, 'it is purged again')
        self.assertEqual(self.origin.asked, {page: 1}, 'nobody but the client asked the origin')
        self.assertIn('version 2', cache.get(HOST, page).body)
        seen = self.audit(daemon)
        self.assertEqual(seen['stale'], 1)
        [finding] = seen['newest']
        self.assertEqual((finding['url'], finding['layer'], finding['target'], finding['stage']),
                         (f'{HOST}{page}', 'cache', target, 'first'))
        self.assertGreaterEqual(finding['copy_age'], 2)
        self.assertEqual(seen['consistency_ratio'], 0)
        self.assertEqual([(one['looked_at'], one['how']) for one in seen['targets']], [(True, how)])
        self.assertIn('stale copy', daemon.log.read_text())
        # The one that purged again is looked at too: by now a fresh copy is there.
        daemon.wait_metric('purgeline_audit_looks_total', 1, verdict='fresh', timeout=20)
        self.assertEqual(daemon.metric('purgeline_stale_after_purge_total'), 1)
        self.assertEqual(daemon.stop(), 0)

    def test_traffic_server_stores_a_fetch_that_was_under_way(self):
        server = self.traffic_server()
        self.assert_planted_copy_is_found(server, server.address, 'only-if-cached')

    def test_varnish_stores_a_fetch_that_was_under_way(self):
        varnish = self.varnish(VCL % self.origin.port)
        varnish.cached = lambda host, page: http_client.request(
            varnish.address, 'PURGE', page, host, {'X-Purgeline-Audit': '1'}).status == 200
        self.assert_planted_copy_is_found(varnish, varnish.unix_address, 'shipped VCL')


class TestFetchTime(AuditTestCase):
    FENCE = {'origin_lag': '0s', 'fetch_time': '1s', 'hit_time': '0s', 'fetch_time_max': '20s'}

    def edit_while_fetched(self, cache, page):
        """A client waits for the page, which is edited and purged while the cache fetches it."""
        client = threading.Thread(target=lambda: cache.get(HOST, page))
        client.start()
        self.addCleanup(client.join)
        self.addCleanup(self.origin.release)
        wait_for(lambda: page in self.origin.held, 10, 'the cache fetches the page')
        wait_for(lambda: time.time() > self.origin.held[page] + 2.2, 10, 'the copy will be old')
        self.origin.version += 1
        self.purge(page)
        return client

    def assert_raised(self, cache, target):
        daemon = self.daemon(target, self.FENCE)
        self.assertEqual(daemon.metric('purgeline_fence_fetch_time_seconds'), 1)
        # The copy has to come between the fence and the look a second later. A machine that is too
        # busy for that gets another try.
        for tries in range(1, 6):
            page = f'/held/{tries}'
            client = self.edit_while_fetched(cache, page)
            daemon.wait_metric('purgeline_fence_purges_total', tries, how='sent', timeout=20)
            self.assertEqual(daemon.metric('purgeline_open_fences'), 0)
            self.origin.release(page)
            client.join()
            daemon.wait_metric('purgeline_audit_looks_total', tries, stage='fence', timeout=20)
            if daemon.metric('purgeline_stale_after_purge_total', stage='fence') > 0:
                break
        else:
            self.fail('no copy came between a fence and its look')
        raised = daemon.metric('purgeline_fence_fetch_time_seconds')
        self.assertGreater(raised, 3)  # 2 s at least, and half as much again
        self.assertLessEqual(raised, 20)
        self.assertIn('fetch time raised', daemon.log.read_text())
        self.assertAlmostEqual(self.audit(daemon)['fetch_time'], raised, 2)

        # The next such fetch ends when its fence would have been over, and is removed by it now.
        # What was purged again has its first look behind it too, so the one to come is the next.
        daemon.wait_metric('purgeline_audit_looks_total', tries + 1, stage='first', timeout=20)
        page = '/held/next'
        client = self.edit_while_fetched(cache, page)
        daemon.wait_metric('purgeline_audit_looks_total', tries + 2, stage='first', timeout=20)
        purged = time.time()
        wait_for(lambda: time.time() > purged + 0.5, 10, 'the former fence would be over')
        self.origin.release(page)
        client.join()
        self.assertTrue(cache.cached(HOST, page))
        wait_for(lambda: not cache.cached(HOST, page), 20, 'its fence')
        # By its fence, and not because the audit found it: its look comes after that of what was
        # purged again, and finds nothing old.
        daemon.wait_metric('purgeline_audit_looks_total', tries + 2, stage='fence', timeout=20)
        self.assertEqual(daemon.metric('purgeline_stale_after_purge_total', stage='fence'), 1)
        self.assertEqual(daemon.metric('purgeline_audit_purged_again_total'), 1)
        self.assertIn(f'version {self.origin.version}', cache.get(HOST, page).body)
        self.assertEqual(daemon.stop(), 0)

    def test_traffic_server(self):
        server = self.traffic_server()
        self.assert_raised(server, server.address)

    def test_varnish(self):
        varnish = self.varnish(VCL % self.origin.port)
        varnish.cached = lambda host, page: http_client.request(
            varnish.address, 'PURGE', page, host, {'X-Purgeline-Audit': '1'}).status == 200
        self.assert_raised(varnish, varnish.unix_address)


class TestTheOrigin(AuditTestCase):
    def assert_never_asked(self, cache, target):
        daemon = self.daemon(target)
        absent = [f'/absent/{n}' for n in range(5)]
        fresh = [f'/fresh/{n}' for n in range(5)]
        expired = [f'/expired/{n}' for n in range(5)]
        for page in absent + fresh + expired:
            self.purge(page)
        for page in fresh + expired:
            cache.get(HOST, page)
        daemon.wait_metric('purgeline_audit_looks_total', 15, timeout=30)
        self.assertGreaterEqual(self.looks(daemon, verdict='absent'), 5)
        self.assertGreaterEqual(self.looks(daemon, verdict='fresh'), 5)
        self.assertEqual(self.looks(daemon, verdict='failed'), 0)
        self.assertEqual(self.origin.asked, Counter(fresh + expired))
        self.assertEqual(self.audit(daemon)['consistency_ratio'], 1)
        return expired

    def test_traffic_server_is_never_made_to_ask_it(self):
        server = self.traffic_server()
        expired = self.assert_never_asked(server, server.address)
        # They were there all the time, and a client makes it ask.
        self.assertEqual(server.get(HOST, expired[0]).status, 200)
        self.assertEqual(self.origin.asked[expired[0]], 2)

    def test_varnish_is_never_made_to_ask_it(self):
        varnish = self.varnish(VCL % self.origin.port)
        self.assert_never_asked(varnish, varnish.unix_address)

    def test_a_varnish_without_the_probe_is_not_looked_into(self):
        varnish = self.varnish()
        daemon = self.daemon(varnish.unix_address)
        pages = [f'/page/{n}' for n in range(5)]
        for page in pages[:3]:
            cached = varnish.get(HOST, page)
            self.assertIsNotNone(parsedate_to_datetime(cached.headers['date']))
        asked = Counter(self.origin.asked)
        for page in pages:
            self.purge(page)
        daemon.wait_metric('purgeline_audit_blind_targets', 1, timeout=20)
        [seen] = self.audit(daemon)['targets']
        self.assertFalse(seen['looked_at'])
        self.assertIn('conf/purge.vcl', seen['why_not'])
        self.assertIn('audit blind', daemon.log.read_text())
        # What was sampled before that was known is left out, by and by.
        daemon.wait_metric('purgeline_audit_looks_total', 1, verdict='skipped', timeout=30)
        self.assertEqual(self.looks(daemon), self.looks(daemon, verdict='skipped'))
        self.assertEqual(self.origin.asked, asked)
        self.assertNotIn('purgeline_consistency_ratio', daemon.metrics())


if __name__ == '__main__':
    main()
