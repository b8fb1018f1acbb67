"""Old copies that outlive a purge, on real caches: shown without the fence, gone with it.

An origin holds its answers until the test lets them go, so that each race happens in every run;
that it happened is read from the logs of origin and caches. Each scenario runs twice: with
`fence: off` the old page stays, with the fence it goes. PURGELINE_TEST_EDITS says how often one
page is edited, every two seconds.
"""

import os
import threading
import time
from datetime import datetime, timedelta, timezone

from harness import (Kafka, Purgeline, ServerTestCase, SlowOrigin, SlowProxy, TrafficServer,
                     Varnish, flush_traffic_server_logs, main, purge_event, start_all,
                     traffic_server_log, varnish_log, wait_for)

HOST = 'en.example.org'
EDITS = int(os.environ.get('PURGELINE_TEST_EDITS', '6'))
PAUSE = 2        # seconds between two of these edits
SLACK = 1.3      # how late a purge may be on a busy machine; the next edit comes later than that
ROUNDING = 0.01  # Traffic Server logs whole milliseconds, of the begin and of the duration

# origin_lag, fetch_time and hit_time in seconds; None where there is no fence. With
# read-while-writer PURGE takes a second while somebody writes, and the fetch has to outlast it.
USUAL = (0.3, 3, 0.2)


def keys(fence):
    if fence is None:
        return 'off'
    return dict(zip(('origin_lag', 'fetch_time', 'hit_time'), (f'{s * 1000:.0f}ms' for s in fence)))


class Race:
    """A page, a cache that fetches it, and somebody who reads it there while it changes."""

    def __init__(self, test, cache, page):
        self.test, self.cache, self.page = test, cache, page
        self.changed = 0  # when
        self.old = self.new = ''
        self.fetch = None
        self._answer = self._reader = None

    def fill(self, max_age):
        """Caches the page for so many seconds; what is fetched later is kept for long."""
        self.test.origin.set_max_age(self.page, max_age)
        self.test.assertIn('version 1\n', self.cache.get(HOST, self.page).body)
        self.test.origin.set_max_age(self.page, 3600)

    def begin(self, holder, part='head'):
        """It is read again and again until a fetch of it is held."""
        holder.hold(self.page, part)
        before = len(holder.fetches(self.page))

        def fetched():
            self._answer = self.cache.get(HOST, self.page)
            return len(holder.fetches(self.page)) > before
        what = f'{self.page} is fetched'
        self._reader = threading.Thread(target=wait_for, args=(fetched, 20, what), daemon=True)
        self._reader.start()
        holder.wait_held(self.page)

    def change(self):
        version, self.changed = self.test.origin.change(self.page)
        self.old, self.new = f'version {version - 1}\n', f'version {version}\n'

    def end(self, holder):
        """The fetch ends; its answer is stored when the reader has it."""
        holder.release(self.page)
        self._reader.join()
        self.fetch = holder.fetches(self.page)[-1]
        self.test.assertIn(self.old, self._answer.body)


class OnSynchronisedClock(Purgeline):
    """Believes what events say about their time, also where this machine's clock is on its own."""

    def environment(self):
        return {**os.environ, 'LD_PRELOAD': os.environ['PURGELINE_STEP_CLOCK']}


class FenceTestCase(ServerTestCase):
    """Two Traffic Servers, with read-while-writer off and on, and two Varnish before the first of
    them, the second by a proxy that holds answers.
    """

    @classmethod
    def setUpClass(cls):
        cls.origin = SlowOrigin()
        cls.addClassCleanup(cls.origin.cleanup)
        cls.backend = TrafficServer(cls.origin.address, log=True)
        cls.shared_writer = TrafficServer(cls.origin.address, read_while_writer=True, log=True)
        cls.proxy = SlowProxy(cls.backend.address)
        cls.addClassCleanup(cls.proxy.cleanup)
        cls.frontend = Varnish(cls.backend.address)
        cls.behind_proxy = Varnish(cls.proxy.address)
        cls.backends = [cls.backend, cls.shared_writer]
        cls.frontends = [cls.frontend, cls.behind_proxy]
        cls.kafka = Kafka()
        cls.keep(cls.kafka, *cls.backends, *cls.frontends)
        start_all(cls.kafka, *cls.backends, *cls.frontends)

    def daemon(self, fence):
        """With a log of its own: what another run left in its log is nothing to it."""
        self.topic = f'{self._testMethodName}-{"without" if fence is None else "with"}'
        self.kafka.create_topic(self.topic)
        # No purge goes ahead of the layer before, however long that takes.
        layers = [('backend', [cache.address for cache in self.backends]),
                  ('frontend', [cache.unix_address for cache in self.frontends])]
        return OnSynchronisedClock(self.kafka, [self.topic], layers,
                                   {'purge': {'fence': keys(fence), 'layer_deadline': '10m'}})

    def races(self, *caches):
        return [Race(self, cache, f'/{self.topic}/{n}') for n, cache in enumerate(caches)]

    def publish(self, races, when=None):
        """`when`: the time that the events and their log carry."""
        now = datetime.now(timezone.utc)
        logged = min(when or now, now)  # a broker refuses what is dated in the future
        self.kafka.produce_at(self.topic, [(logged, purge_event(f'https://{HOST}{race.page}', when))
                                           for race in races])

    def log(self, cache, race):
        read = varnish_log if cache.name == 'varnish' else traffic_server_log
        return read(cache, race.page)

    def purges(self, cache, race):
        return [one for one in self.log(cache, race) if one.method == 'PURGE']

    def wait_purges(self, races, count=1):
        """Until all frontends have been purged so often; all backends have been, then."""
        for race in races:
            for cache in self.frontends:
                wait_for(lambda race=race, cache=cache: len(self.purges(cache, race)) >= count, 20,
                         f'{race.page} is purged {count} times')

    def settle(self, daemon):
        """Until the daemon has done all it wants to do, and the logs of the caches say so."""
        daemon.wait_committed(self.kafka, self.topic)
        flush_traffic_server_logs(self.backends)

    def assert_kept(self, race, cache):
        """The cache has the old copy: it answers so, and asks nobody."""
        fetches = len(self.origin.fetches(race.page))
        self.assertIn(race.old, cache.get(HOST, race.page).body)
        self.assertEqual(len(self.origin.fetches(race.page)), fetches)

    def assert_in_flight(self, race, *caches):
        """The fetch began before these caches were purged first, and ended after."""
        for cache in caches:
            first = self.purges(cache, race)[0]
            self.assertLess(race.fetch.begun, first.begun, cache.name)
            self.assertLess(first.ended, race.fetch.ended + ROUNDING, cache.name)

    def assert_fenced(self, race, fence):
        """The purges of all caches came when they were due. Returns the first backend's fence."""
        lag, fetch_time, hit_time = fence
        due = race.changed + lag + fetch_time - ROUNDING
        late = {cache: [one for one in self.purges(cache, race) if one.begun >= due]
                for cache in self.backends + self.frontends}
        for cache, fences in late.items():
            self.assertTrue(fences, f'{cache.name} has no fence: {self.log(cache, race)}')
        settled = max(late[cache][0].ended for cache in self.backends)
        for cache in self.frontends:
            self.assertGreater(late[cache][-1].begun, settled + hit_time - ROUNDING)
        return late[self.backend][0]

    def assert_outcome(self, daemon, races, fence):
        """What the races left behind in the end."""
        for race in races:
            # Asked about while no fence can be due yet, also where there is one.
            body = race.cache.get(HOST, race.page).body
            if fence is None or time.time() < race.changed + fence[0] + fence[1]:
                self.assertIn(race.old, body)
        self.settle(daemon)
        for race in races:
            if fence is None:
                self.assert_kept(race, race.cache)
                continue
            for cache in {race.cache, self.backend}:
                self.assertIn(race.new, cache.get(HOST, race.page).body, cache.name)
            self.assert_fenced(race, fence)


class TestFetchInFlight(FenceTestCase):
    def run_races(self, fence, caches, expired=False, part='head', when=None):
        """Fetches that begin before the change of their page and end after its purge."""
        daemon = self.daemon(fence).start()
        races = self.races(*caches)
        for race in races:
            if expired:
                race.fill(max_age=1)
        for race in races:
            race.begin(self.origin, part)
        for race in races:
            race.change()
        self.publish(races, when)
        self.wait_purges(races)
        for race in races:
            race.end(self.origin)
            self.assertEqual(race.fetch.status, 304 if expired else 200)
        self.assert_outcome(daemon, races, fence)
        for race in races:
            self.assert_in_flight(race, race.cache)
            if race.cache is self.frontend:
                self.assert_in_flight(race, self.backend)
        self.assertEqual(daemon.stop(), 0)

    def test_a_page_that_was_not_cached(self):
        for fence in (None, USUAL):
            self.run_races(fence, [self.backend, self.shared_writer, self.frontend])

    def test_a_page_of_which_half_has_come(self):
        for fence in (None, USUAL):
            self.run_races(fence, [self.backend, self.shared_writer, self.frontend], part='body')

    def test_a_page_that_had_expired(self):
        for fence in (None, USUAL):
            self.run_races(fence, [self.backend, self.shared_writer, self.frontend], expired=True)

    def test_an_event_of_a_producer_whose_clock_is_ahead(self):
        for fence in (None, USUAL):
            self.run_races(fence, [self.frontend], when=datetime(2099, 1, 1, tzinfo=timezone.utc))

    def test_an_event_of_a_producer_whose_clock_is_a_week_late(self):
        # Not quite: what is older than Kafka's retention might be gone before it is read.
        when = datetime.now(timezone.utc) - timedelta(days=7, hours=-1)
        for fence in (None, USUAL):
            self.run_races(fence, [self.frontend], when=when)


class TestOldCopyElsewhere(FenceTestCase):
    def test_an_origin_that_shows_the_change_late(self):
        for fence in (None, (1.5, 1, 0.2)):
            daemon = self.daemon(fence).start()
            race, = self.races(self.frontend)
            race.fill(max_age=3600)
            self.origin.lag(race.page)
            race.change()
            self.publish([race])
            self.wait_purges([race])
            # Its fetch begins after the purge, and finds what the origin still says.
            self.assertIn(race.old, self.frontend.get(HOST, race.page).body)
            self.origin.catch_up(race.page)
            self.assert_outcome(daemon, [race], fence)
            fetches = self.origin.fetches(race.page)
            self.assertGreater(fetches[1].begun, self.purges(self.frontend, race)[0].ended)
            self.assertEqual([fetch.version for fetch in fetches],
                             [1, 1] if fence is None else [1, 1, 2])
            self.assertEqual(daemon.stop(), 0)

    def test_a_frontend_that_is_refilled_from_a_backend_with_the_old_copy(self):
        for fence in (None, USUAL):
            daemon = self.daemon(fence).start()
            race, = self.races(self.backend)
            race.begin(self.origin)
            race.change()
            self.publish([race])
            self.wait_purges([race])
            race.end(self.origin)
            race.cache = self.frontend  # it has been purged already, and the backend is, too
            self.assertIn(race.old, self.frontend.get(HOST, race.page).body)
            self.assert_outcome(daemon, [race], fence)
            self.assert_in_flight(race, self.backend)
            refill = next(one for one in self.log(self.frontend, race) if one.method == 'GET')
            self.assertGreater(refill.begun, self.purges(self.frontend, race)[0].ended)
            self.assertEqual(daemon.stop(), 0)

    def test_a_hit_that_is_on_its_way_to_the_frontend_while_the_backend_gets_its_fence(self):
        for fence in (None, (0.3, 3, 5)):
            daemon = self.daemon(fence).start()
            race, = self.races(self.backend)
            race.begin(self.origin)
            race.change()
            self.publish([race])
            self.wait_purges([race])
            race.end(self.origin)
            race.cache = self.behind_proxy
            race.begin(self.proxy)  # what it will answer is the backend's old copy
            if fence is not None:
                wait_for(lambda race=race: len(self.purges(self.backend, race)) >= 2, 20,
                         'the backend has its fence')
            race.end(self.proxy)
            self.assert_kept(race, self.behind_proxy)
            self.settle(daemon)
            if fence is None:
                self.assert_kept(race, self.behind_proxy)
            else:
                purge = self.assert_fenced(race, fence)
                self.assertLess(race.fetch.begun, purge.begun)
                self.assertGreater(race.fetch.ended, purge.ended - ROUNDING)
                self.assertIn(race.new, self.behind_proxy.get(HOST, race.page).body)
            self.assertEqual(daemon.stop(), 0)


class TestFenceComesBack(FenceTestCase):
    FENCE = (0.3, 6, 0.2)  # long enough for a restart before it is due

    def interrupt(self, how):
        """The daemon ends between purge and fence; so does the fetch after the second start."""
        daemon = self.daemon(self.FENCE).start()
        race, = self.races(self.frontend)
        race.begin(self.origin)
        race.change()
        self.publish([race])
        self.wait_purges([race])
        how(daemon)
        self.assertLess(self.kafka.committed(daemon.group, self.topic), 1)
        flush_traffic_server_logs(self.backends)
        for cache in self.backends + self.frontends:
            self.assertEqual(len(self.purges(cache, race)), 1)
        daemon.start()
        self.wait_purges([race], 2)  # an event that is read again is purged again
        race.end(self.origin)
        self.assert_in_flight(race, self.frontend)
        self.assertLess(self.purges(self.frontend, race)[1].ended, race.fetch.ended)
        self.assert_outcome(daemon, [race], self.FENCE)
        self.assertGreater(len(self.purges(self.frontend, race)), 2)
        self.assertEqual(daemon.stop(), 0)

    def test_kill_9_between_purge_and_fence(self):
        self.interrupt(lambda daemon: daemon.kill())

    def test_sigterm_between_purge_and_fence(self):
        self.interrupt(lambda daemon: self.assertEqual(daemon.stop(), 0))


class TestEdits(FenceTestCase):
    FENCE = (0.1, 0.4, 0.1)

    def test_a_page_that_is_edited_every_two_seconds(self):
        daemon = self.daemon(self.FENCE).start()
        race, = self.races(self.frontend)
        race.fill(max_age=3600)
        edits = []  # (when the page was changed, when its event was in the log)
        for _ in range(EDITS):
            wait_for(lambda: not edits or time.time() > edits[-1][0] + PAUSE, PAUSE + 1, 'a pause')
            race.change()
            self.publish([race])
            edits.append((race.changed, time.time()))
        self.settle(daemon)
        for cache in self.backends:
            self.assert_each_in_time(edits, self.purges(cache, race), sum(self.FENCE[:2]))
        for cache in self.frontends:
            self.assert_each_in_time(edits, self.purges(cache, race), sum(self.FENCE))
        for cache in (self.backend, self.frontend):
            self.assertIn(race.new, cache.get(HOST, race.page).body)
        self.assertEqual(daemon.stop(), 0)

    def assert_each_in_time(self, edits, purges, due):
        """Each edit has a purge at once and another one when it is due; there are no more."""
        for changed, published in edits:
            for first, last in ((changed, published), (changed + due, published + due)):
                self.assertTrue([one for one in purges
                                 if first - ROUNDING < one.begun < last + SLACK],
                                f'none from {first:.3f} to {last + SLACK:.3f}: {purges}')
        self.assertLessEqual(len(purges), 2 * len(edits))


if __name__ == '__main__':
    main()
