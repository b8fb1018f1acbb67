"""SIGHUP on real servers: caches come and go under load; a file that is wrong changes nothing."""

import os
import re
import signal
import threading

from harness import (Kafka, Origin, PurgeSink, Purgeline, ServerTestCase, TrafficServer, Varnish,
                     free_port, main, purge_event, start_all, wait_for)

HOST = 'en.example.org'
PAGES = 20
GOOD = 'purgeline_config_last_reload_successful'


def uri(page):
    return f'https://{HOST}{page}'


class TestReload(ServerTestCase):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.cleanup)
        cls.backend = TrafficServer(cls.origin.address)
        cls.first, cls.second = Varnish(cls.backend.address), Varnish(cls.backend.address)
        cls.kafka = Kafka()
        cls.keep(cls.backend, cls.first, cls.second, cls.kafka)
        start_all(cls.backend, cls.first, cls.second, cls.kafka)

    def setUp(self):
        super().setUp()
        self.topic = f'purge-{self._testMethodName}'
        self.kafka.create_topic(self.topic)
        self.sink = PurgeSink()
        self.addCleanup(self.sink.cleanup)
        self.layers = [('backend', [self.backend.address]),
                       ('sink', [self.sink.address]),
                       ('frontend', [self.first.unix_address])]
        self.daemon = Purgeline(self.kafka, [self.topic], self.layers).start()
        self.events = 0
        self._stop_load = threading.Event()

    def hangup(self, line):
        """SIGHUP, until the log says `line` once more."""
        before = self.said(line)
        os.kill(self.daemon.pid(), signal.SIGHUP)
        wait_for(lambda: self.said(line) > before, 30, f'the log says {line}', pause=0.05)

    def said(self, line):
        return self.daemon.log.read_text(errors='replace').count(line)

    def configure(self, old, new):
        text = self.daemon.config.read_text()
        self.assertIn(old, text)
        self.daemon.config.write_text(text.replace(old, new))

    def load(self):
        """Events of pages of their own, until the test ends or stop_load()."""
        def produce():
            while not self._stop_load.is_set():
                self.kafka.produce(self.topic, [purge_event(uri(f'/load/{self.events + n}'))
                                                for n in range(500)])
                self.events += 500
        thread = threading.Thread(target=produce)
        thread.start()

        def end():
            self._stop_load.set()
            thread.join()
        self.addCleanup(end)
        return end

    def fill(self, cache, pages):
        for page in pages:
            cache.get(HOST, page)

    def publish(self, pages):
        self.kafka.produce(self.topic, [purge_event(uri(page)) for page in pages])

    def test_a_cache_is_added_and_another_removed_under_load(self):
        pages = [f'/wiki/added/{n}' for n in range(PAGES)]
        end_load = self.load()
        wait_for(lambda: len(self.sink.urls(HOST)) > 1000, 60, 'events are purged')
        self.configure(f'"{self.first.unix_address}"', f'"{self.second.unix_address}"')
        self.hangup('configuration applied')
        self.assertEqual(self.said('target added'), 1)
        self.assertEqual(self.said('target removed'), 1)
        self.fill(self.second, pages)
        self.fill(self.first, pages)
        version = self.origin.bump()
        self.publish(pages)
        end_load()
        self.daemon.wait_committed(self.kafka, self.topic)
        for page in pages:
            self.assertIn(f'version {version}', self.second.get(HOST, page).body)
            # It is purged by nobody any more, and nothing waits for it.
            self.assertIn(f'version {version - 1}', self.first.get(HOST, page).body)
        # Nothing was lost, and nothing was sent twice where both are.
        urls = self.sink.urls(HOST)
        self.assertEqual(len(urls), self.events + PAGES)
        self.assertEqual(set(urls.values()), {1})
        self.assertEqual(self.daemon.metric(GOOD), 1)
        self.assertEqual([labels['target'] for labels, _ in
                          self.daemon.metrics()['purgeline_target_state']
                          if labels['layer'] == 'frontend'], [self.second.unix_address])

    def test_hosts_limits_and_layers_change_under_load(self):
        away = f'127.0.0.1:{free_port()}'  # nobody is there
        pages = [f'/wiki/changed/{n}' for n in range(PAGES)]
        denied, sink = 'denied.example.org', f'"{self.sink.address}"]'
        end_load = self.load()
        wait_for(lambda: len(self.sink.urls(HOST)) > 1000, 60, 'events are purged')

        self.configure('purge:', f'purge:\n  hosts: {{deny: [{denied}]}}')
        self.hangup('configuration applied')
        self.kafka.produce(self.topic, [purge_event(f'https://{denied}/1')])
        self.daemon.wait_metric('purgeline_events_total', 1, outcome='filtered')

        self.configure(sink, f'{sink}, "connections": 1, "depth": 4, "request_timeout": "3s"')
        self.configure('purge:', 'purge:\n  coalesce: {window: 1ms}\n  behind_after: 1s\n'
                                 '  layer_deadline: 100ms')
        self.hangup('configuration applied')
        self.wait_connections(1)

        # Two layers more: one that gets all from now on, and one that nobody ever answers for.
        last = f'"{self.first.unix_address}"]}}\n'
        self.configure(last, f'{last}    - {{name: away, targets: ["{away}"]}}\n'
                             f'    - {{name: edge, targets: ["{self.second.unix_address}"]}}\n')
        self.hangup('configuration applied')
        self.assertEqual(self.said('target added'), 2)
        self.daemon.wait_metric('purgeline_target_missed_events', 1, target=away)
        for cache in (self.first, self.second):
            self.fill(cache, pages)
        version = self.origin.bump()
        self.publish(pages)
        for page in pages:
            for cache in (self.second, self.first):
                wait_for(lambda cache=cache, page=page: f'version {version}' in
                         cache.get(HOST, page).body, 30, f'{page} is new')
        self.assertLess(self.kafka.committed(self.daemon.group, self.topic),
                        self.kafka.end_offset(self.topic))

        self.configure(f'    - {{name: away, targets: ["{away}"]}}\n', '')
        self.configure(f'  hosts: {{deny: [{denied}]}}\n', '')
        self.hangup('configuration applied')
        missed = re.search(rf'event="target removed" target={away} layer=away missed=(\d+)',
                           self.daemon.log.read_text())
        self.assertGreater(int(missed.group(1)), PAGES)
        end_load()
        self.kafka.produce(self.topic, [purge_event(f'https://{denied}/2')])
        self.daemon.wait_committed(self.kafka, self.topic)
        # Nothing was lost, whatever the limits were when it came.
        self.assertEqual(set(self.sink.urls(HOST)),
                         {(HOST, page) for page in pages} |
                         {(HOST, f'/load/{n}') for n in range(self.events)})
        self.assertEqual(set(self.sink.urls(denied)), {(denied, '/2')})
        self.assertEqual(self.said('needs a restart'), 0)

    def wait_connections(self, count):
        wait_for(lambda: self.daemon.metric('purgeline_connections', target=self.sink.address)
                 == count, 30, f'{count} connections are open')

    def test_a_topic_is_added_and_another_removed_under_load(self):
        other = f'{self.topic}-other'
        self.kafka.create_topic(other)

        def publish(topic, page):
            self.kafka.produce(topic, [purge_event(uri(page))])

        def topics(*names):
            self.configure(self.daemon.config.read_text().split('topics:', 1)[1].split(']')[0],
                           ' [' + ', '.join(f'"{name}"' for name in names))
            self.hangup('configuration applied')

        def purged(*pages):
            wait_for(lambda: {(HOST, page) for page in pages} <= set(self.sink.urls(HOST)), 60,
                     f'{pages} are purged')

        end_load = self.load()
        wait_for(lambda: len(self.sink.urls(HOST)) > 1000, 60, 'events are purged')
        topics(self.topic, other)
        publish(other, '/other/1')
        purged('/other/1')
        end_load()
        self.daemon.wait_committed(self.kafka, self.topic)
        topics(other)
        self.assertEqual(self.said('topic removed'), 1)
        publish(self.topic, '/waits')
        publish(other, '/other/2')
        purged('/other/2')
        self.assertNotIn((HOST, '/waits'), self.sink.urls(HOST))
        self.assertEqual(self.daemon.readiness().status, 200)
        self.assertEqual({labels['topic'] for labels, _ in
                          self.daemon.metrics()['purgeline_position_offset']}, {other})
        topics(self.topic, other)
        purged('/waits')
        urls = self.sink.urls(HOST)
        self.assertEqual(len(urls), self.events + 3)
        self.assertEqual(set(urls.values()), {1})
        self.assertEqual(self.said('needs a restart'), 0)

    def test_a_wrong_file_changes_nothing_and_says_all_that_is_wrong(self):
        good = self.daemon.config.read_text()
        self.configure('purge:', 'purge:\n  max_aeg: 3h\n  behind_after: soon')
        self.hangup('configuration refused')
        wait_for(lambda: self.daemon.metric(GOOD) == 0, 10, 'the metric says so')
        self.assertEqual(self.said('configuration refused'), 2)
        for word in ('max_aeg', 'behind_after', 'purgeline.yaml:'):
            self.assertGreater(self.said(word), 0)
        self.publish(['/after/1'])
        self.daemon.wait_committed(self.kafka, self.topic)
        self.assertEqual(self.sink.urls(HOST), {(HOST, '/after/1'): 1})
        self.daemon.config.write_text(good)
        self.hangup('configuration applied')
        wait_for(lambda: self.daemon.metric(GOOD) == 1, 10, 'the metric says so')

    def test_what_needs_a_restart_is_named_and_the_rest_applied(self):
        self.configure('purge:', f'io: epoll\npurge:\n  hosts: {{deny: [{HOST}]}}')
        self.hangup('configuration applied')
        self.assertEqual(self.said('needs a restart'), 1)
        self.assertGreater(self.said('keys=io'), 0)
        self.publish(['/denied/1'])
        self.daemon.wait_committed(self.kafka, self.topic)
        self.assertEqual(len(self.sink.urls(HOST)), 0)


if __name__ == '__main__':
    main()
