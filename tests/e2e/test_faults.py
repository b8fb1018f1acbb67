"""Real faults on real servers: whatever breaks, nothing is lost, layers stay in order, and waiting
costs nothing.

PURGELINE_TEST_KILLS says how often the daemon is killed in the last test, PURGELINE_TEST_OUTAGE for
how many seconds a cache stands still.
"""

import os
import random
import signal
import struct
import time
from datetime import datetime, timezone
from pathlib import Path

from harness import (LyingProxy, OnSmallDisk, Purgeline, RealCachesTestCase, TrafficServer, Varnish,
                     main, purge_event, start_all, wait_for)

HOST = RealCachesTestCase.HOST
OUTAGE = 30  # seconds that a broker stands still
CACHE_OUTAGE = int(os.environ.get('PURGELINE_TEST_OUTAGE', '10'))
KILLS = int(os.environ.get('PURGELINE_TEST_KILLS', '10'))
SEED = int(os.environ.get('PURGELINE_TEST_SEED', '0')) or random.randrange(1, 1 << 31)


class FaultTestCase(RealCachesTestCase):
    def proxies(self, lie):
        """Proxies before both caches that lie alike."""
        made = [LyingProxy(cache, lie) for cache in (self.backend.address,
                                                     self.frontend.unix_address)]
        for proxy in made:
            self.addCleanup(proxy.cleanup)
        return made

    def daemon(self, backend=None, frontend=None, make=Purgeline, **changes):
        return make(self.kafka, [self.topic],
                    [('backend', [backend or self.backend.address]),
                     ('frontend', [frontend or self.frontend.unix_address])], changes)

    def pages(self, count, part=''):
        return [f'/wiki/{self._testMethodName}{part}/{n}' for n in range(count)]

    def publish(self, pages):
        self.kafka.produce(self.topic, [purge_event(f'https://{HOST}{page}') for page in pages])

    def assert_in_order(self, pages, backend, frontend):
        """Each page got a purge at the frontend after one at the backend had been answered."""
        for page in pages:
            answered = min(at for _, at, target in backend.seen if target == page)
            self.assertTrue(any(at > answered for at, _, target in frontend.seen if target == page),
                            f'{page} was purged at the frontend first')


class TestConnections(FaultTestCase):
    """Connections that end as they should not, on both layers."""

    def check(self, lie, count=60):
        pages = self.pages(count)
        self.fill(pages)
        backend, frontend = self.proxies(lie)
        daemon = self.daemon(backend.address, frontend.address,
                             purge={'layer_deadline': '10m'}).start()
        version = self.origin.bump()
        self.publish(pages)
        daemon.wait_committed(self.kafka, self.topic, timeout=120)
        self.assert_fresh(pages, version)
        self.assert_in_order(pages, backend, frontend)
        for proxy in (backend, frontend):
            self.assertGreater(proxy.lies, 0)
        self.assertEqual(daemon.metric('purgeline_dead_letters_total'), 0)
        self.assertEqual(daemon.stop(), 0)

    def test_every_seventh_answer_is_a_reset(self):
        self.check(lambda number, _: 'reset' if number % 7 == 0 else None)

    def test_every_third_answer_is_the_last(self):
        self.check(lambda number, _: 'close' if number % 3 == 0 else None)

    def test_every_fifth_answer_is_cut_off(self):
        self.check(lambda number, _: 'cut' if number % 5 == 0 else None)

    def test_every_fourth_answer_is_an_error(self):
        self.check(lambda number, _: 503 if number % 4 == 0 else None)

    def test_poison_costs_its_neighbours_nothing(self):
        pages = self.pages(40)
        poison = pages[17]
        self.fill(pages)
        backend, frontend = self.proxies(lambda _, target: 'drop' if target == poison else None)
        # None is sent ahead, so that the poison is tried once at each cache however slow they are.
        daemon = self.daemon(backend.address, frontend.address,
                             purge={'layer_deadline': '10m'}).start()
        version = self.origin.bump()
        self.publish(pages)
        daemon.wait_committed(self.kafka, self.topic, timeout=120)
        self.assert_fresh([page for page in pages if page != poison], version)
        daemon.wait_metric('purgeline_dead_letters_total', 2)  # one for each cache
        for layer in ('backend', 'frontend'):
            self.assertEqual(
                daemon.metric('purgeline_purges_total', layer=layer, outcome='poison'), 1)


    def test_what_real_caches_cannot_take_costs_its_neighbours_nothing(self):
        """Lines longer than they allow: Traffic Server answers 414 and closes, Varnish resets."""
        backend = TrafficServer(self.origin.address,
                                more='CONFIG proxy.config.http.request_line_max_size INT 2048\n')
        frontend = Varnish(backend.address, parameters=['http_req_size=2k'])
        start_all(backend, frontend)
        pages = self.pages(60)
        for page in pages:
            frontend.get(HOST, page)
        for page in pages:
            wait_for(lambda page=page: backend.cached(HOST, page), 10, f'{page} is stored')
        long = [f'{pages[n]}/{"long" * 750}' for n in (0, 20, 21, 40, 59)]
        daemon = self.daemon(backend.address, frontend.unix_address,
                             purge={'layer_deadline': '10m'}).start()
        version = self.origin.bump()
        self.publish(sorted(pages + long, key=lambda page: int(page.split('/')[3])))
        daemon.wait_committed(self.kafka, self.topic, timeout=120)
        for page in pages:
            for cache in (frontend, backend):
                self.assertIn(f'version {version}', cache.get(HOST, page).body,
                              f'{page} in {cache.name}')
        daemon.wait_metric('purgeline_dead_letters_total', 2 * len(long))
        for layer, outcome in (('backend', 'refused'), ('frontend', 'poison')):
            self.assertEqual(daemon.metric('purgeline_purges_total', layer=layer, outcome=outcome),
                             len(long))
        self.assertEqual(daemon.metric('purgeline_dead_letters_total'), 2 * len(long))


class TestStandstill(FaultTestCase):
    """Servers that stop in the middle of everything."""

    def assert_idle(self, daemon, spent, seconds):
        """What librdkafka's own threads do while they wait counts too."""
        self.assertLess(cpu_time(daemon) - spent, 0.05 * seconds)

    def test_a_cache_that_stands_still(self):
        pages = self.pages(20)
        self.fill(pages)
        daemon = self.daemon().start()
        version = self.origin.bump()
        self.backend.pause()
        self.addCleanup(self.backend.resume)
        self.publish(pages)
        daemon.wait_metric('purgeline_target_state', 2, layer='backend')
        spent, end = cpu_time(daemon), time.monotonic() + CACHE_OUTAGE
        wait_for(lambda: time.monotonic() > end, CACHE_OUTAGE + 1, 'the outage is over')
        self.assert_idle(daemon, spent, CACHE_OUTAGE)
        self.assertLess(self.kafka.committed(daemon.group, self.topic), len(pages))
        self.backend.resume()
        daemon.wait_committed(self.kafka, self.topic)
        self.assert_fresh(pages, version)

    def test_a_broker_that_stands_still(self):
        before, after = self.pages(10, 'a'), self.pages(10, 'b')
        self.fill(before + after)
        daemon = self.daemon().start()
        version = self.origin.bump()
        self.publish(before)
        wait_for(lambda: not self.backend.cached(HOST, before[-1]), 20, 'purges are under way')
        self.kafka.pause()
        self.addCleanup(self.kafka.resume)
        spent, end = cpu_time(daemon), time.monotonic() + OUTAGE
        wait_for(lambda: time.monotonic() > end, OUTAGE + 1, 'the outage is over')
        self.assert_idle(daemon, spent, OUTAGE)
        self.assert_fresh(before, version)  # what was read needs no broker
        self.kafka.resume()
        self.publish(after)
        daemon.wait_committed(self.kafka, self.topic)
        self.assert_fresh(after, version)


class TestDisk(FaultTestCase):
    def test_a_full_disk_holds_back_what_needs_a_dead_letter(self):
        pages = self.pages(10)
        refused = pages[4]
        self.fill(pages)
        backend = LyingProxy(self.backend.address, lambda _, target: 400 if target == refused
                             else None)
        self.addCleanup(backend.cleanup)
        daemon = self.daemon(backend.address, make=OnSmallDisk).start()
        daemon.fill_disk()
        version = self.origin.bump()
        self.publish(pages)
        wait_for(lambda: 'dead letters cannot be written' in daemon.log.read_text(), 30,
                 'the full disk is known')
        wait_for(lambda: daemon.readiness().status != 200, 10, 'it is not ready')
        others = [page for page in pages if page != refused]
        for page in others:
            wait_for(lambda page=page: self.frontend_has(page, version), 20, f'{page} is new')
        # Committed up to the refused page at most: its letter is nowhere yet.
        self.assertLessEqual(self.kafka.committed(daemon.group, self.topic), 4)
        self.assert_fresh(others, version)
        daemon.filler().unlink()
        daemon.wait_committed(self.kafka, self.topic)
        daemon.wait_metric('purgeline_dead_letters_total', 1)
        daemon.wait_ready()

    def frontend_has(self, page, version):
        return f'version {version}' in self.frontend.get(HOST, page).body


class SteppedClock(Purgeline):
    """Its wall clock is off by what the test says."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.file = self.folder / 'clock'
        self.step_to(0)

    def step_to(self, seconds):
        with open(self.file, 'r+b' if self.file.exists() else 'wb', buffering=0) as file:
            file.write(struct.pack('q', seconds))

    def environment(self):
        return {**os.environ, 'LD_PRELOAD': os.environ['PURGELINE_STEP_CLOCK'],
                'PURGELINE_TEST_STEP_CLOCK': str(self.file)}


class TestClock(FaultTestCase):
    def test_steps_of_an_hour_lose_nothing(self):
        daemon = self.daemon(make=SteppedClock).start()
        for part, step in enumerate((0, 3600, -3600, 0)):
            pages = self.pages(10, part)
            self.fill(pages)
            daemon.step_to(step)
            for page in (pages, pages[:5]):  # the second time what the first may be said to cover
                version = self.origin.bump()
                self.publish(page)
                daemon.wait_committed(self.kafka, self.topic)
                self.assert_fresh(page, version)
        daemon.step_to(-3600)
        self.assertEqual(daemon.stop(), 0)
        # It did see another time than this program.
        last = datetime.fromisoformat(daemon.log.read_text().splitlines()[-1].split(' ')[0])
        self.assertLess((last - datetime.now(timezone.utc)).total_seconds(), -3000)


class TestKills(FaultTestCase):
    def test_killed_at_random_moments(self):
        """Each round has pages of its own, so that one lost purge shows, whenever it was."""
        choose = random.Random(SEED)
        print(f'PURGELINE_TEST_SEED={SEED}', flush=True)

        def lie(number, _):
            time.sleep(0.005)  # so slow that a kill finds purges on their way
            return 'reset' if number % 20 == 0 else None
        backend, frontend = self.proxies(lie)
        daemon = self.daemon(backend.address, frontend.address)
        rounds = []
        for number in range(KILLS):
            pages = self.pages(50, number)
            self.fill(pages)
            daemon.launch()
            if choose.random() < 0.5:  # else it is still on its way up
                daemon.wait_ready()
            rounds.append((pages, self.origin.bump()))
            self.publish(pages)
            time.sleep(choose.uniform(0, 0.7))
            if choose.random() < 0.5:
                daemon.kill()
            else:
                # Before it has its handler, the signal itself ends it.
                self.assertIn(daemon.stop(), (0, -signal.SIGTERM))
        # Most rounds leave work behind, at some ten milliseconds for each page.
        daemon.start().wait_committed(self.kafka, self.topic, timeout=60 + 5 * KILLS)
        for pages, version in rounds:
            for page in pages:
                for cache in (self.frontend, self.backend):
                    found = int(cache.get(HOST, page).body.split('version ')[1].split()[0])
                    self.assertGreaterEqual(found, version, f'{page} in {cache.name}')


def cpu_time(daemon):
    """Seconds of CPU that the daemon has used."""
    fields = Path(f'/proc/{daemon.pid()}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


if __name__ == '__main__':
    main()
