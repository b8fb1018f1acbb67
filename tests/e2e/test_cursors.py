"""Backlogs on real Kafka and real caches: new purges go first, and nothing of a backlog is lost.

That a purge went first is seen at the caches: it was done while the last page of the backlog was
still cached. PURGELINE_TEST_BACKLOG says how many events a backlog has; figures are printed.
"""

import os
import re
import time
from pathlib import Path

from harness import Purgeline, RealCachesTestCase, kafka_wire, main, purge_event, wait_for

HOST = RealCachesTestCase.HOST
BACKLOG = int(os.environ.get('PURGELINE_TEST_BACKLOG', '50000'))
DOWN = 2            # purgeline_target_state
CHUNK = 20_000      # events that are written at once
THRESHOLD = 1       # seconds: the least that catch_up.threshold takes
CAPACITY = max(1000, BACKLOG // 20)  # of the table: what a backlog has to wait for


class CursorTestCase(RealCachesTestCase):
    def daemon(self, **changes):
        changes['log'] = {'catch_up': {'threshold': f'{THRESHOLD}s'}}
        changes['purge'] = {'coalesce': {'capacity': CAPACITY}, **changes.get('purge', {})}
        return Purgeline(self.kafka, [self.topic],
                         [('backend', [self.backend.address]),
                          ('frontend', [self.frontend.unix_address])], changes)

    def page(self, name):
        return f'/wiki/{self._testMethodName}/{name}'

    def publish(self, *pages):
        """At once, and over one connection: kcat would take longer to start than a purge takes."""
        self.kafka.retry(lambda: kafka_wire.produce(
            self.kafka.address, self.topic,
            [(int(time.time() * 1000), purge_event(f'https://{HOST}{page}')) for page in pages]))

    def publish_backlog(self, last, count=BACKLOG):
        """Pages that nobody has cached, and one at the end that somebody has."""
        for first in range(0, count - 1, CHUNK):
            end = min(first + CHUNK, count - 1)
            self.kafka.produce(self.topic, [purge_event(f'https://{HOST}{self.page(f"old/{n}")}')
                                            for n in range(first, end)])
        self.publish(last)

    def age_backlog(self):
        """Until what was written is older than the threshold."""
        end = time.monotonic() + THRESHOLD + 0.5
        wait_for(lambda: time.monotonic() > end, THRESHOLD + 1, 'the backlog is old')

    def wait_purged(self, page, *caches, timeout=60):
        for cache in caches:
            wait_for(lambda cache=cache: not cache.cached(HOST, page), timeout,
                     f'{page} is purged at {cache.name}', pause=0.0005)

    def wait_said(self, daemon, event, times=1, timeout=60):
        wait_for(lambda: daemon.log.read_text().count(f'event="{event}"') >= times, timeout,
                 f'"{event}" is said', pause=0.002)

    def latency(self, what, caches, more):
        """While `more` says so: purges one page after the other; prints how long each took from
        before it was written to the log until it was seen to be gone from all caches."""
        took = []
        while more(len(took)):
            page = self.page(f'{what}/{len(took)}').replace(' ', '-')
            for cache in caches:
                cache.get(HOST, page)
                wait_for(lambda cache=cache: cache.cached(HOST, page), 10, f'{page} is stored')
            begun = time.monotonic()
            self.publish(page)
            self.wait_purged(page, *caches)
            took.append(time.monotonic() - begun)
        if not took:
            return
        took.sort()
        p50, p99 = (1000 * took[int(len(took) * q)] for q in (0.5, 0.99))
        print(f'\n  {what}: {len(took)} purges, p50 {p50:.1f} ms, p99 {p99:.1f} ms', flush=True)

    def assert_goes_first(self, daemon, page, last, *caches):
        """The purge of `page` is done while the backlog that ends with `last` is not."""
        daemon.wait_metric('purgeline_catch_up_events', 1)
        self.publish(page)
        self.wait_purged(page, *caches)
        for cache in caches:
            self.assertTrue(cache.cached(HOST, last), f'{cache.name} is purged of the backlog')
        self.assertGreater(daemon.metric('purgeline_catch_up_events'), 0)


    def assert_told_how_long(self, daemon):
        """While a backlog is worked through, log and metrics say how much is left for how long."""
        line = wait_for(lambda: re.search(
            r'event="catching up" events_left=(\d+) per_second=(\d+) seconds_left=(\d+)',
            daemon.log.read_text()), 30, 'a line says how long it will take')
        left, rate, seconds = map(int, line.groups())
        self.assertTrue(0 < left < BACKLOG, line.group())
        self.assertGreater(rate, 0, line.group())
        self.assertEqual(seconds, left // rate)
        wait_for(lambda: daemon.metric('purgeline_catch_up_seconds') > 0, 10, 'a metric does')
        self.assertTrue(0 < daemon.metric('purgeline_catch_up_events') <= left)
        self.assertRegex(daemon.readiness().body, r'catching up, \d+ events are left for about ')


class TestBacklog(CursorTestCase):
    def test_new_purges_go_before_a_backlog(self):
        new, last = self.page('new'), self.page('last')
        self.fill([new, last])
        self.publish_backlog(last)
        self.age_backlog()
        daemon = self.daemon()
        daemon.launch()
        begun = time.monotonic()
        self.wait_said(daemon, 'catching up')
        version = self.origin.bump()
        self.assert_goes_first(daemon, new, last, self.backend, self.frontend)
        self.assertIn('catching up, ', daemon.readiness().body)
        self.assertIn(f' events={BACKLOG} ', daemon.log.read_text())
        estimates = []

        def more(_):
            estimates.append(daemon.metric('purgeline_catch_up_seconds'))
            return daemon.metric('purgeline_catch_up_events') > 0
        self.latency('new purges during a catch-up', [self.backend, self.frontend], more)
        print(f'  estimated to take {max(estimates):.0f} s at most', flush=True)
        self.wait_said(daemon, 'caught up')
        daemon.wait_committed(self.kafka, self.topic, timeout=600)
        print(f'  {BACKLOG / (time.monotonic() - begun):.0f} events/s', flush=True)
        self.assert_fresh([new, last], version)
        self.assertEqual(daemon.metric('purgeline_catch_up_events'), 0)
        self.latency('new purges afterwards', [self.backend, self.frontend], lambda n: n < 200)

    def test_memory_is_bounded_while_both_caches_are_away(self):
        """What may fill up is in the configuration; the backlog has several times as much."""
        url_bytes, queue, padding, count = 4 << 20, 1 << 20, 'x' * 2000, 30_000
        places = [('backend', self.backend.address), ('frontend', self.frontend.unix_address)]
        daemon = Purgeline(self.kafka, [self.topic], [], {
            'log': {'catch_up': {'threshold': f'{THRESHOLD}s'},
                    'kafka': {'properties': {'queued.max.messages.kbytes': f'{queue >> 10}'}}},
            'purge': {'behind_after': '2s', 'coalesce': {'capacity': 2500, 'bytes': url_bytes},
                      'layers': [{'name': name, 'targets': [target], 'request_timeout': '1s'}
                                 for name, target in places]}}).start()
        self.publish(self.page('first'))
        daemon.wait_committed(self.kafka, self.topic)
        before = most_memory(daemon)
        for cache in (self.backend, self.frontend):
            cache.pause()
            self.addCleanup(cache.resume)
        for first in range(0, count, 5000):
            self.kafka.produce(self.topic, [purge_event(f'https://{HOST}{self.page(n)}{padding}')
                                            for n in range(first, first + 5000)])
        # Full first, then without room for anybody; a queue that is full is read no further.
        daemon.wait_metric('purgeline_url_bytes', url_bytes * 0.9)
        daemon.wait_metric('purgeline_target_behind', 2)
        # URLs, 2 KiB for each unfinished event, queues of two readers with a fetch on its way each,
        # and what the allocator keeps.
        bound = url_bytes + 2500 * 2048 + 2 * 2 * queue + (12 << 20)
        self.assertLess(bound, count * len(padding) / 2)
        grown = most_memory(daemon) - before
        print(f'\n  {grown >> 20} MiB more, {bound >> 20} are allowed', flush=True)
        self.assertLess(grown, bound)

    def test_what_came_while_the_process_stood_still_is_a_backlog(self):
        new, last = self.page('new'), self.page('last')
        self.fill([new, last])
        # No faster than 16 purges a millisecond, so that the backlog lasts for some looks at it.
        slow = {'connections': 1, 'depth': 16}
        daemon = self.daemon(purge={'layers': [
            {'name': 'backend', 'targets': [self.backend.address]},
            {'name': 'frontend', 'targets': [self.frontend.unix_address], **slow}]}).start()
        self.publish(self.page('first'))
        daemon.wait_committed(self.kafka, self.topic)
        daemon.pause()
        self.addCleanup(daemon.resume)
        self.publish_backlog(last)
        self.age_backlog()
        version = self.origin.bump()
        daemon.resume()
        self.wait_said(daemon, 'catching up')
        self.assert_goes_first(daemon, new, last, self.backend, self.frontend)
        self.assert_told_how_long(daemon)
        daemon.wait_committed(self.kafka, self.topic, timeout=600)
        self.assert_fresh([new, last], version)


class TestBehind(CursorTestCase):
    def test_a_cache_that_is_away_for_longer_than_the_table_can_hold(self):
        first, last, new = self.page('first'), self.page('last'), self.page('new')
        again = self.page('again')
        daemon = self.daemon(purge={'behind_after': '2s'})
        daemon.start()
        self.latency('at the other cache before', [self.backend], lambda n: n < 200)
        self.fill([first, last, new, again])
        version = self.origin.bump()
        self.frontend.pause()
        self.addCleanup(self.frontend.resume)
        self.publish(first)
        self.publish_backlog(self.page('burst'), 2 * CAPACITY)
        self.wait_purged(first, self.backend)
        # What was sent before it is known to be away is taken by it when it goes on.
        name = self.frontend.unix_address
        wait_for(lambda: daemon.metric('purgeline_target_state', target=name) == DOWN
                 and daemon.metric('purgeline_target_behind', target=name) == 1, 60,
                 'it is left out because it does not answer')
        begun = time.monotonic()
        self.publish_backlog(last)
        self.wait_purged(last, self.backend, timeout=600)
        print(f'\n  {BACKLOG / (time.monotonic() - begun):.0f} events/s at the other cache, '
              'writing them to the log included', flush=True)
        self.latency('at the other cache during', [self.backend], lambda n: n < 200)
        self.assertEqual(daemon.metric('purgeline_target_behind'), 1)
        answer = daemon.readiness()
        self.assertEqual(answer.status, 503)
        self.assertIn(f'{name} has missed ', answer.body)
        self.assertLess(self.kafka.committed(daemon.group, self.topic), 300)
        # Nothing of that is only in memory.
        daemon.kill()
        daemon.log.unlink()
        daemon.launch()
        self.wait_said(daemon, 'target behind')
        self.publish(again)
        self.wait_purged(again, self.backend)
        self.frontend.resume()
        self.wait_said(daemon, 'target live again')
        self.assert_goes_first(daemon, new, last, self.frontend)
        daemon.kill()  # in the middle of what it had missed
        self.assertTrue(self.frontend.cached(HOST, last))
        daemon.start()
        daemon.wait_committed(self.kafka, self.topic, timeout=600)
        self.assert_fresh([first, again, new, last], version)


def most_memory(daemon):
    """The most that was resident at once, in bytes."""
    status = Path(f'/proc/{daemon.pid()}/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+) kB', status).group(1)) << 10


if __name__ == '__main__':
    main()
