"""Two hosts on one Kafka: the frontend of host b is filled from the backend of host a.

Each host is a daemon with a name of its own. What the other caches of a host would do is done by
sinks. Every case begins with the page in both caches and ends with the new one at the frontend.
"""

import threading
import time

from harness import (Purgeline, PurgeSink, RealCachesTestCase, SlowOrigin, Varnish, main,
                     purge_event, start_all, wait_for)

HOST = RealCachesTestCase.HOST
HELD = 5  # seconds


class PeersTestCase(RealCachesTestCase):
    BACKEND = Varnish
    CHANGES = {}  # of the section purge

    def setUp(self):
        super().setUp()
        self.kafka.create_topic(f'peers-{self._testMethodName}')
        self.other_frontend, self.other_backend = PurgeSink(), PurgeSink()
        for sink in (self.other_frontend, self.other_backend):
            self.addCleanup(sink.cleanup)
        self.addCleanup(self.backend.deny_purge, False)
        self.page = f'/wiki/{self._testMethodName}'

    def host(self, name, backend, frontend, deadline):
        changes = dict(self.CHANGES)
        if deadline:
            changes['peers'] = {'topic': f'peers-{self._testMethodName}', 'name': name,
                                'hosts': ['a', 'b'], 'barrier_deadline': deadline}
        return Purgeline(self.kafka, [self.topic],
                         [('backend', [backend.address]), ('frontend', [frontend.address])],
                         {'purge': changes} if changes else None)

    def hosts(self, deadline='30s'):
        a = self.host('a', self.backend, self.other_frontend, deadline)
        b = self.host('b', self.other_backend, self.frontend, deadline)
        start_all(a, b)
        if deadline:
            for host, peer in ((a, 'b'), (b, 'a')):
                host.wait_metric('purgeline_peer_heard_total', 1, peer=peer)
        return a, b

    def publish(self, page):
        self.kafka.produce(self.topic, [purge_event(f'https://{HOST}{page}')])

    def shown(self):
        return self.frontend.get(HOST, self.page).body

    def wait_shown(self, version, timeout=60):
        wait_for(lambda: f'version {version}' in self.shown(), timeout,
                 f'the frontend shows version {version}')

    def fill(self):
        before = self.shown()
        wait_for(lambda: self.frontend.cached(HOST, self.page), 10, 'the page is stored')
        return before

    def change_while_backend_is_held(self):
        """The page at the frontend is purged, and filled with the old one of its backend."""
        before = self.fill()
        self.backend.deny_purge(True)
        version = self.origin.bump()
        self.publish(self.page)
        wait_for(lambda: not self.frontend.cached(HOST, self.page), 30,
                 'the frontend is purged without the backend of the other host')
        self.assertEqual(self.shown(), before, 'it is filled from the old copy')
        return version

    def wait_held(self):
        end = time.monotonic() + HELD
        wait_for(lambda: time.monotonic() > end, HELD + 1, 'the backend was held for long enough')


class TestPeers(PeersTestCase):
    def test_a_frontend_is_purged_again_when_the_backend_elsewhere_has_been(self):
        a, b = self.hosts()
        version = self.change_while_backend_is_held()
        self.wait_held()
        self.assertNotIn(f'version {version}', self.shown())
        self.assertEqual(b.metric('purgeline_peers_waiting_events'), 1)
        self.backend.deny_purge(False)
        self.wait_shown(version)
        for host in (a, b):
            host.wait_committed(self.kafka, self.topic)
            self.assertEqual(host.metric('purgeline_peer_left_out_total'), 0)
        self.assertEqual(b.metric('purgeline_peers_sent_first_total'), 1)

    def test_without_peers_the_old_copy_stays(self):
        """What all this is for."""
        a, b = self.hosts(deadline=None)
        version = self.change_while_backend_is_held()
        b.wait_committed(self.kafka, self.topic)
        self.backend.deny_purge(False)
        a.wait_committed(self.kafka, self.topic)
        self.assertNotIn(f'version {version}', self.shown())
        self.assertEqual(b.metrics().get('purgeline_peers_waiting_events'), None)

    def test_what_a_killed_peer_has_missed_is_done_when_it_is_back(self):
        a, b = self.hosts(deadline='1s')
        before = self.fill()
        first = self.page + '/first'
        self.publish(first)
        for host in (a, b):
            host.wait_committed(self.kafka, self.topic)
        a.kill()
        version = self.origin.bump()
        self.publish(self.page)
        b.wait_metric('purgeline_peer_left_out', 1, peer='a')
        wait_for(lambda: b.metric('purgeline_peers_waiting_events') == 0, 30, 'nobody waits')
        self.assertEqual(self.shown(), before, 'it is filled from the old copy')
        self.assertEqual(b.metric('purgeline_peer_missed_events', peer='a'), 1)
        self.assertLess(self.kafka.committed(b.group, self.topic),
                        self.kafka.end_offset(self.topic))
        a.start()
        self.wait_shown(version)
        b.wait_committed(self.kafka, self.topic)
        wait_for(lambda: b.metric('purgeline_peer_left_out', peer='a') == 0, 30, 'a is back')
        self.assertEqual(b.metric('purgeline_peer_left_out_total', peer='a'), 1)

    def test_both_hosts_are_killed_and_nothing_is_forgotten(self):
        a, b = self.hosts(deadline='1s')
        version = self.change_while_backend_is_held()
        a.kill()
        b.wait_metric('purgeline_peer_left_out', 1, peer='a')
        b.kill()
        self.backend.deny_purge(False)
        a.launch()
        b.launch()
        self.wait_shown(version)
        for host in (a, b):
            host.wait_committed(self.kafka, self.topic)

    def test_how_long_peers_take(self):
        a, b = self.hosts()
        took = []
        for number in range(100):
            self.publish(f'{self.page}/{number}')
            begun = time.monotonic()
            wait_for(lambda n=number: self.finished(b) > n, 30, 'it is finished', pause=0.002)
            took.append(time.monotonic() - begun)
        took.sort()
        print(f'\n  from the log to the second purge of the frontend: p50 {1000 * took[50]:.0f} ms,'
              f' p99 {1000 * took[98]:.0f} ms', flush=True)
        a.wait_committed(self.kafka, self.topic)

    @staticmethod
    def finished(host):
        return host.metric('purgeline_events_total', outcome='purged')


class TestFences(PeersTestCase):
    """The backend of host a has an old copy which only its fence removes, and that is late."""

    CHANGES = {'fence': {'origin_lag': '300ms', 'fetch_time': '3s', 'hit_time': '200ms'}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.slow = SlowOrigin()
        cls.addClassCleanup(cls.slow.cleanup)

    def setUp(self):
        super().setUp()
        self.backend = Varnish(self.slow.address)
        self.frontend = Varnish(self.backend.address)
        for cache in (self.backend, self.frontend):
            self.addCleanup(cache.cleanup)
        start_all(self.backend, self.frontend)

    def purges_elsewhere(self):
        return self.other_backend.urls(HOST)[HOST, self.page]

    def old_copy_comes_after_the_purge(self, a, b):
        """A fetch that began before the change ends after both hosts have purged the page."""
        self.slow.hold(self.page)
        answers = []
        reader = threading.Thread(
            target=lambda: answers.append(self.backend.get(HOST, self.page)), daemon=True)
        reader.start()
        self.slow.wait_held(self.page)
        self.slow.change(self.page)
        self.publish(self.page)
        for host in (a, b):
            host.wait_metric('purgeline_events_total', 1, outcome='purged')
        self.backend.deny_purge(True)
        self.slow.release(self.page)
        reader.join()
        self.assertIn('version 1', answers[0].body)
        self.assertTrue(self.backend.cached(HOST, self.page), 'the old copy is stored')
        wait_for(lambda: self.purges_elsewhere() == 2, 30, 'the backend of host b has its fence')

    def test_the_fence_of_a_frontend_waits_for_the_one_of_the_backend_elsewhere(self):
        a, b = self.hosts()
        self.old_copy_comes_after_the_purge(a, b)
        b.wait_metric('purgeline_peers_waiting_fences', 1)
        self.assertIn('version 1', self.shown(), 'it is filled from the old copy')
        self.wait_held()
        self.assertIn('version 1', self.shown())
        self.backend.deny_purge(False)
        self.wait_shown(2)
        for host in (a, b):
            host.wait_committed(self.kafka, self.topic)
            self.assertEqual(host.metric('purgeline_peer_left_out_total'), 0)

    def test_without_peers_it_does_not_and_the_old_copy_stays(self):
        a, b = self.hosts(deadline=None)
        self.old_copy_comes_after_the_purge(a, b)
        b.wait_committed(self.kafka, self.topic)
        self.assertIn('version 1', self.shown(), 'it is filled from the old copy')
        self.backend.deny_purge(False)
        a.wait_committed(self.kafka, self.topic)
        self.assertIn('version 2', self.backend.get(HOST, self.page).body)
        self.assertIn('version 1', self.shown())


if __name__ == '__main__':
    main()
