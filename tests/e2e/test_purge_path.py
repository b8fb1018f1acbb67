"""The purge path on real servers: Kafka in, both caches purged in order, nothing lost.

The caches, the origin and the broker are shared by the tests of a class; each test has a daemon, a
topic and pages of its own. Where tens of thousands of purges are counted, recording sinks stand in
for the caches.
"""

import os
import random
import time

from harness import (Kafka, PurgeSink, Purgeline, RealCachesTestCase, ServerTestCase, http_client,
                     main, purge_event, purged_early, run_cli, wait_for)

HOST = RealCachesTestCase.HOST
OUTAGE = 30  # seconds that a cache is away
DENIED = 3   # purgeline_target_state


def uri(page):
    return f'https://{HOST}{page}'


class RealCaches(RealCachesTestCase):
    """Both caches before one origin, and a broker."""

    def daemon(self, **purge):
        return Purgeline(self.kafka, [self.topic],
                         [('backend', [self.backend.address]),
                          ('frontend', [self.frontend.unix_address])], {'purge': purge})

    def pages(self, count):
        return [f'/wiki/{self._testMethodName}/{n}' for n in range(count)]

    def fill(self, pages):
        """Also shows that they are cached."""
        super().fill(pages)
        self.assertEqual(self.frontend.get(HOST, pages[-1]).headers['x-cache-frontend'], 'hit')

    def publish(self, pages):
        self.kafka.produce(self.topic, [purge_event(uri(page)) for page in pages])


class TestFreshPages(RealCaches):
    def test_the_transport_that_was_asked_for_runs(self):
        wanted = os.environ.get('PURGELINE__IO', 'uring')  # by itself: what the kernel offers
        daemon = self.daemon().start()
        self.assertEqual(daemon.metric('purgeline_io_backend_info', backend=wanted), 1)
        # What the process itself tells; the simulator sees every other metric change.
        self.assertEqual(daemon.metric('purgeline_config_last_reload_successful'), 1)
        self.assertGreater(
            daemon.metric('purgeline_config_last_reload_success_timestamp_seconds'), 0)

    def test_a_cached_page_is_fetched_anew_after_its_event(self):
        pages = self.pages(20)
        self.fill(pages)
        daemon = self.daemon().start()
        version = self.origin.bump()
        self.assertIn(f'version {version - 1}', self.frontend.get(HOST, pages[0]).body)
        self.publish(pages)
        daemon.wait_committed(self.kafka, self.topic)
        self.assert_fresh(pages, version)
        for layer, outcome in (('backend', 'purged'), ('frontend', 'purged')):
            self.assertGreaterEqual(
                daemon.metric('purgeline_purges_total', layer=layer, outcome=outcome), len(pages))

    def test_a_page_that_is_not_cached_is_absent_and_done(self):
        daemon = self.daemon().start()
        absent = {'layer': 'backend', 'outcome': 'absent'}
        before = daemon.metric('purgeline_purges_total', **absent)
        self.publish(self.pages(3))
        daemon.wait_committed(self.kafka, self.topic)
        self.assertEqual(daemon.metric('purgeline_purges_total', **absent) - before, 3)

    def test_encoded_and_raw_addresses_reach_the_page_that_browsers_ask_for(self):
        page = '/wiki/S%C3%A3o_Paulo?a=%2F'
        self.fill([page])
        daemon = self.daemon().start()
        version = self.origin.bump()
        self.publish(['/wiki/São_Paulo?a=%2F'])
        daemon.wait_committed(self.kafka, self.topic)
        self.assert_fresh([page], version)

    def test_kill_9_between_events_leaves_no_old_page(self):
        pages = self.pages(1000)
        self.fill(pages)
        daemon = self.daemon().start()
        version = self.origin.bump()
        self.publish(pages)
        daemon.kill()
        daemon.start().wait_committed(self.kafka, self.topic)
        self.assert_fresh(pages, version)


class TestOutages(RealCaches):
    def test_a_frontend_that_stands_still_does_not_hold_up_the_backend(self):
        pages = self.pages(OUTAGE)
        self.fill(pages)
        daemon = self.daemon().start()
        version = self.origin.bump()
        self.frontend.pause()
        self.addCleanup(self.frontend.resume)
        end = time.monotonic() + OUTAGE
        for page in pages:
            self.publish([page])
            wait_for(lambda page=page: not self.backend.cached(HOST, page), 10,
                     f'the backend is purged of {page}')
        wait_for(lambda: time.monotonic() > end, OUTAGE + 1, 'the outage is over')
        self.assertLess(self.kafka.committed(daemon.group, self.topic), len(pages))
        self.frontend.resume()
        daemon.wait_committed(self.kafka, self.topic)
        self.assert_fresh(pages, version)

    def test_a_backend_that_is_stopped_is_purged_when_it_is_back(self):
        pages = self.pages(10)
        self.fill(pages)
        daemon = self.daemon().start()
        version = self.origin.bump()
        self.backend.stop()
        self.addCleanup(lambda: self.backend.running() or self.backend.start())
        end = time.monotonic() + OUTAGE
        self.publish(pages)
        # The frontend does not wait longer than layer_deadline; it has nobody to ask then.
        wait_for(lambda: self.frontend.get(HOST, pages[-1]).status == 503, 20,
                 'the frontend is purged ahead of the backend')
        wait_for(lambda: time.monotonic() > end, OUTAGE + 1, 'the outage is over')
        self.assertLess(self.kafka.committed(daemon.group, self.topic), len(pages))
        self.backend.start()
        # What clients fetch now may be what the backend still has on disk.
        for page in pages:
            self.frontend.get(HOST, page)
        daemon.wait_committed(self.kafka, self.topic)
        self.assert_fresh(pages, version)

    def test_a_cache_that_denies_purge_is_served_when_it_allows_it(self):
        pages = self.pages(5)
        self.fill(pages)
        daemon = self.daemon().start()
        version = self.origin.bump()
        self.frontend.deny_purge(True)
        self.addCleanup(self.frontend.deny_purge, False)
        self.publish(pages)
        wait_for(lambda: daemon.metric('purgeline_target_state', layer='frontend') == DENIED, 30,
                 'the frontend is known to deny purges')
        for page in pages:
            wait_for(lambda page=page: not self.backend.cached(HOST, page), 10,
                     'the backend is purged all the same')
        self.assertLess(self.kafka.committed(daemon.group, self.topic), len(pages))
        self.assertNotEqual(daemon.readiness().status, 200)
        self.frontend.deny_purge(False)
        daemon.wait_committed(self.kafka, self.topic)
        self.assert_fresh(pages, version)
        self.assertEqual(daemon.metric('purgeline_dead_letters_total'), 0)

    def test_kafka_stopped_and_started(self):
        first, second, third = self.pages(3)
        self.fill([first, second, third])
        daemon = self.daemon().start()
        version = self.origin.bump()
        self.publish([first])
        daemon.wait_committed(self.kafka, self.topic)
        self.kafka.stop()
        self.addCleanup(lambda: self.kafka.running() or self.kafka.start())
        daemon.wait_metric('purgeline_log_errors_total', 1)
        self.kafka.start()
        self.publish([second])
        daemon.wait_committed(self.kafka, self.topic)
        self.assert_fresh([first, second], version)
        # And with a broker that is down already when the daemon starts.
        self.assertEqual(daemon.stop(), 0)
        self.kafka.stop()
        daemon.launch()
        wait_for(lambda: http_client.answers(daemon.admin), 20, 'the daemon runs without a broker')
        self.kafka.start()
        daemon.wait_ready()
        self.publish([third])
        daemon.wait_committed(self.kafka, self.topic)
        self.assert_fresh([third], version)


class Sinks(ServerTestCase):
    """Recording sinks in place of both caches."""

    @classmethod
    def setUpClass(cls):
        cls.kafka = Kafka().start()
        cls.keep(cls.kafka)

    def setUp(self):
        super().setUp()
        self.topic = f'purge-{self._testMethodName}'
        self.kafka.create_topic(self.topic)
        self.backend, self.frontend = PurgeSink(), PurgeSink()
        self.addCleanup(self.backend.cleanup)
        self.addCleanup(self.frontend.cleanup)
        # So long a deadline that no purge is ever sent ahead of the layer before.
        self.daemon = Purgeline(self.kafka, [self.topic],
                                [('backend', [self.backend.address]),
                                 ('frontend', [self.frontend.address])],
                                {'purge': {'layer_deadline': '10m'}})

    def publish(self, first, count):
        self.kafka.produce(self.topic,
                           [purge_event(uri(f'/{n}')) for n in range(first, first + count)])

    def assert_all_purged_in_order(self, count):
        wanted = {(HOST, f'/{n}') for n in range(count)}
        for sink in (self.backend, self.frontend):
            self.assertEqual(len(wanted - set(sink.urls(HOST))), 0)
            self.assertEqual(len(set(sink.urls(HOST)) - wanted), 0)
        self.assertEqual(purged_early(self.backend, self.frontend, HOST), [])


class TestNothingLost(Sinks):
    EVENTS = 50_000
    KILLS = 5

    def test_kill_9_in_the_middle_of_50000_events(self):
        self.publish(0, self.EVENTS)
        for _ in range(self.KILLS):
            before = len(self.frontend.seen)
            step = random.randint(1, 8000)
            self.daemon.launch()
            wait_for(lambda: len(self.frontend.seen) >= before + step, 60,
                     f'{step} more purges after a kill at {before}', pause=0.001)
            self.daemon.kill()
            self.assertLess(self.kafka.committed(self.daemon.group, self.topic), self.EVENTS)
        self.daemon.start().wait_committed(self.kafka, self.topic)
        self.assert_all_purged_in_order(self.EVENTS)

    def test_sigterm_ends_in_order_and_repeats_nothing(self):
        self.daemon.start()
        self.publish(0, 2000)
        wait_for(lambda: len(self.frontend.seen) >= 500, 30, 'purges are under way', pause=0.001)
        self.assertEqual(self.daemon.stop(), 0)
        done = self.kafka.committed(self.daemon.group, self.topic)
        self.assertGreater(done, 0)
        # Every event that is committed was purged on both layers.
        for sink in (self.backend, self.frontend):
            self.assertTrue({(HOST, f'/{n}') for n in range(done)} <= set(sink.urls(HOST)))
        self.daemon.start().wait_committed(self.kafka, self.topic)
        self.assert_all_purged_in_order(2000)
        self.assertEqual(self.daemon.stop(), 0)

    def test_a_second_instance_is_refused_by_the_first_ones_pid(self):
        self.daemon.start()
        second = run_cli('run', '-c', self.daemon.config)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn(str(self.daemon.pid()), second.stderr)
        self.publish(0, 10)
        self.daemon.wait_committed(self.kafka, self.topic)
        self.daemon.kill()
        self.daemon.start()  # a lock whose owner was killed is no lock
        self.assertEqual(self.daemon.stop(), 0)

    def test_a_storm_on_one_url_costs_few_purges_and_ends_with_one(self):
        self.daemon.start()
        self.kafka.produce(self.topic, [purge_event(uri('/hot')) for _ in range(5000)])
        produced_at = time.monotonic_ns()
        self.kafka.produce(self.topic, [purge_event(uri('/hot'))])
        self.daemon.wait_committed(self.kafka, self.topic)
        for sink in (self.backend, self.frontend):
            self.assertLess(len(sink.seen), 500)
            self.assertGreater(sink.seen[-1][0], produced_at)


if __name__ == '__main__':
    main()
