"""The intakes and the journal, as the log and before Kafka: what was acknowledged is purged.

PURGELINE_TEST_KILLS says how often the daemon is killed under clients that post.
"""

import contextlib
import errno
import http.client
import json
import os
import random
import socket
import struct
import threading

from harness import (Kafka, OnSmallDisk, PurgeSink, Purgeline, RealCachesTestCase, ServerTestCase,
                     clr_packet, free_port, http_client, main, purge_event, purged_early,
                     wait_for)

HOST = RealCachesTestCase.HOST
KILLS = int(os.environ.get('PURGELINE_TEST_KILLS', '20'))
CLIENTS = 8


class JournalTestCase(ServerTestCase):
    kafka = None  # then the journal is the log; else it is what comes before Kafka

    def daemon(self, backend, frontend, changes=None, make=Purgeline):
        self.http = f'127.0.0.1:{free_port()}'
        self.htcp = f'127.0.0.1:{free_port()}'
        http, htcp, topics = {'listen': [self.http]}, {'listen': [self.htcp]}, []
        if self.kafka:
            topics = [f'{self._testMethodName}.resource-purge']
            self.kafka.create_topic(topics[0])
            http |= {'topic_prefix': f'{self._testMethodName}.', 'purge_topic': topics[0]}
            htcp |= {'topic': topics[0]}
        return make(self.kafka, topics, [('backend', [backend]), ('frontend', [frontend])],
                    {'intake': {'http': http, 'htcp': htcp}, **(changes or {})})

    def purge(self, page):
        return http_client.request(self.http, 'PURGE', page, HOST)

    def purge_absolute(self, page):
        return http_client.request(self.http, 'PURGE', f'http://{HOST}{page}', HOST)

    def post(self, pages):
        body = json.dumps([json.loads(purge_event(f'https://{HOST}{page}')) for page in pages])
        return post(self.http, body)

    def send_packet(self, page):
        name, port = self.htcp.split(':')
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(clr_packet(f'http://{HOST}{page}'), (name, int(port)))


def post(address, body):
    name, port = address.split(':')
    connection = http.client.HTTPConnection(name, int(port), timeout=10)
    try:
        connection.request('POST', '/v1/events', body, {'Content-Type': 'application/json'})
        return http_client.Answer(connection.getresponse())
    finally:
        connection.close()


class TestRealCaches(JournalTestCase, RealCachesTestCase):
    WITH_KAFKA = False

    def assert_fresh(self, pages, version):
        for page in pages:
            wait_for(lambda page=page: f'version {version}' in self.frontend.get(HOST, page).body,
                     20, f'{page} is new')
            self.assertIn(f'version {version}', self.backend.get(HOST, page).body)

    def test_each_way_in_purges_both_caches(self):
        names = ('origin-form', 'absolute-form', 'posted', 'htcp')
        pages = [f'/wiki/{name}?a=%2F' for name in names]
        self.fill(pages)
        daemon = self.daemon(self.backend.address, self.frontend.unix_address).start()
        version = self.origin.bump()
        for answer in (self.purge(pages[0]), self.purge_absolute(pages[1])):
            self.assertEqual(answer.status, 200, answer)
            self.assertIn('x-purgeline-id', answer.headers)
        self.assertEqual(self.post(pages[2:3]).status, 201)
        self.send_packet(pages[3])
        self.assert_fresh(pages, version)
        self.assertEqual(daemon.metric('purgeline_intake_http_events_total', outcome='accepted'), 3)
        self.assertEqual(
            daemon.metric('purgeline_intake_htcp_packets_total', outcome='accepted'), 1)
        daemon.wait_metric('purgeline_journal_appended_events_total', 4)
        self.assertEqual(daemon.stop(), 0)

    def test_who_waits_is_told_what_each_cache_answered(self):
        daemon = self.daemon(self.backend.address, self.frontend.unix_address).start()
        page = '/wiki/waited-for'
        self.fill([page])
        answer = http_client.request(self.http, 'PURGE', page, HOST, {'Prefer': 'wait=10'})
        self.assertEqual((answer.status, answer.headers['preference-applied']), (200, 'wait=10'))
        said = json.loads(answer.body)
        self.assertEqual(said['state'], 'finished')
        self.assertEqual([(one['layer'], one['outcome'], one['status']) for one in said['targets']],
                         [('backend', 'purged', 200), ('frontend', 'purged', 204)])
        self.frontend.deny_purge(True)
        self.addCleanup(self.frontend.deny_purge, False)
        answer = http_client.request(self.http, 'PURGE', page, HOST, {'Prefer': 'wait=2'})
        self.assertEqual(answer.status, 202, answer)
        said = json.loads(answer.body)
        self.assertEqual(said['state'], 'pending')
        self.assertEqual([(one['outcome'], one['status']) for one in said['targets']],
                         [('absent', 404), ('pending', 405)])
        self.frontend.deny_purge(False)
        self.assertEqual(daemon.stop(), 0)

    def test_a_page_that_was_purged_while_a_cache_was_away_is_purged_after_a_restart(self):
        pages = [f'/wiki/away/{n}' for n in range(20)]
        self.fill(pages)
        daemon = self.daemon(self.backend.address, self.frontend.unix_address,
                             {'purge': {'drain_grace': '0s'}}).start()
        version = self.origin.bump()
        self.frontend.pause()
        self.addCleanup(self.frontend.resume)
        self.assertEqual(self.post(pages).status, 201)
        self.assertEqual(daemon.stop(), 0)
        self.frontend.resume()
        daemon.start()
        self.assert_fresh(pages, version)


class TestRealCachesOnKafka(TestRealCaches):
    WITH_KAFKA = True


class Client(threading.Thread):
    """Asks for purges of pages of its own until it is stopped; keeps those acknowledged."""

    def __init__(self, number, address):
        super().__init__(daemon=True)
        self.number = number
        self.address = address
        self.acknowledged = []
        self.over = threading.Event()

    def run(self):
        count = 0
        while not self.over.is_set():
            pages = [f'/{self.number}/{count + n}' for n in range(1 + self.number % 4)]
            count += len(pages)
            if self.ask(pages):
                self.acknowledged += pages
            else:
                self.over.wait(0.02)  # the daemon is away

    def ask(self, pages):
        try:
            if len(pages) == 1:
                return http_client.request(self.address, 'PURGE', pages[0], HOST).status == 200
            events = [json.loads(purge_event(f'https://{HOST}{page}')) for page in pages]
            return post(self.address, json.dumps(events)).status == 201
        except (OSError, http.client.HTTPException):
            return False


class TestNothingLost(JournalTestCase):
    def setUp(self):
        super().setUp()
        self.sinks = [PurgeSink(), PurgeSink()]
        for sink in self.sinks:
            self.addCleanup(sink.cleanup)

    def sink_daemon(self, **more):
        # So long a deadline that no purge is ever sent ahead of the layer before.
        return self.daemon(*[sink.address for sink in self.sinks],
                           {'purge': {'layer_deadline': '10m'}}, **more)

    def wait_purged(self, pages):
        for sink in self.sinks:
            wait_for(lambda sink=sink: {(HOST, page) for page in pages} <= set(sink.urls(HOST)),
                     60, f'all {len(pages)} pages are purged')
        self.assertEqual(purged_early(*self.sinks, HOST), [])

    def clients(self):
        clients = [Client(number, self.http) for number in range(CLIENTS)]
        for client in clients:
            self.addCleanup(client.over.set)
            client.start()
        return clients

    @staticmethod
    def acknowledged(clients):
        """Ends the clients; what they were told is taken."""
        for client in clients:
            client.over.set()
        for client in clients:
            client.join()
        return [page for client in clients for page in client.acknowledged]

    def test_kill_9_under_clients_loses_nothing_that_was_acknowledged(self):
        daemon = self.sink_daemon().start()
        clients = self.clients()
        for _ in range(KILLS):
            before = sum(len(client.acknowledged) for client in clients)
            step = random.randint(1, 400)
            wait_for(lambda before=before, step=step:
                     sum(len(client.acknowledged) for client in clients) >= before + step, 60,
                     f'{step} more are acknowledged after {before}', pause=0.001)
            daemon.kill()
            daemon.start()
        self.wait_purged(self.acknowledged(clients))
        self.assertEqual(daemon.stop(), 0)

    def test_a_stop_answers_what_it_took(self):
        daemon = self.sink_daemon().start()
        clients = self.clients()
        wait_for(lambda: all(client.acknowledged for client in clients), 30, 'all are posting')
        self.assertEqual(daemon.stop(), 0)
        pages = self.acknowledged(clients)
        daemon.start()
        self.wait_purged(pages)

    def test_what_comes_during_a_stop_is_told_to_come_later(self):
        silent = socket.create_server(('127.0.0.1', 0))  # a cache that never answers
        self.addCleanup(silent.close)
        daemon = self.daemon(self.sinks[0].address, f'127.0.0.1:{silent.getsockname()[1]}').launch()
        wait_for(lambda: http_client.answers(self.http), 20, 'events are taken')
        self.assertEqual(self.purge('/before').status, 200)
        wait_for(lambda: self.sinks[0].urls(HOST), 20, 'a purge is under way')
        daemon.terminate()
        answer = wait_for(lambda: self.answer_of('/after', 503), 8, 'a purge is refused', pause=0)
        self.assertIn('retry-after', answer.headers)
        self.assertEqual(daemon.wait(), 0)

    def answer_of(self, page, status):
        answer = self.purge(page)
        return answer if answer.status == status else None

    def test_a_packet_is_never_answered(self):
        """Answers to addresses that anybody can write into a packet would be a weapon."""
        self.sink_daemon().start()
        name, port = self.htcp.split(':')
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sender.close)
        wanted = clr_packet(f'http://{HOST}/wanted', wants_answer=True)
        for packet in (wanted, wanted[:-3], b'x', clr_packet('nonsense', wants_answer=True),
                       clr_packet(f'http://{HOST}/last', wants_answer=True)):
            sender.sendto(packet, (name, int(port)))
        self.wait_purged(['/wanted', '/last'])
        sender.setblocking(False)
        self.assertRaises(BlockingIOError, sender.recv, 1 << 16)

    def test_packets_that_found_no_room_are_counted(self):
        daemon = self.sink_daemon().start()
        name, port = self.htcp.split(':')
        packet = clr_packet(f'http://{HOST}/packets')
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sender.close)
        sent = 0

        def send(count):
            nonlocal sent
            for _ in range(count):
                sender.sendto(packet, (name, int(port)))
            sent += count

        def accounted():
            received = daemon.metric('purgeline_intake_htcp_packets_total')
            overflowed = daemon.metric('purgeline_intake_htcp_overflowed_total')
            if received + overflowed == sent:
                return received, overflowed
            send(1)  # the kernel tells of what it dropped with a packet that comes later
            return None

        daemon.pause()
        self.addCleanup(daemon.resume)
        send(100_000)
        daemon.resume()
        _, overflowed = wait_for(accounted, 30, 'each packet is accounted for')
        self.assertGreater(overflowed, 0)
        self.wait_purged(['/packets'])

    def test_a_full_disk_is_told_and_passes(self):
        daemon = self.sink_daemon(make=Small).start()
        daemon.fill_disk()
        pages = []

        def refused():
            pages.append(f'/full/{len(pages)}')
            answer = self.purge(pages[-1])
            if answer.status != 200:
                pages.pop()
            return answer if answer.status == 503 else None

        answer = wait_for(refused, 30, 'a purge is refused', pause=0)
        self.assertIn('retry-after', answer.headers)
        wait_for(lambda: daemon.readiness().status == 503, 10, 'it is not ready')
        self.assertIn('disk', daemon.readiness().body)
        daemon.filler().unlink()
        wait_for(lambda: self.purge('/room').status == 200, 20, 'there is room again')
        daemon.wait_ready()
        self.wait_purged([*pages, '/room'])

    def test_a_disk_that_breaks_or_becomes_read_only_is_told_and_passes(self):
        daemon = self.sink_daemon(make=BrokenDisk).start()
        pages = []
        for number in (errno.EROFS, errno.EIO):
            with self.subTest(error=errno.errorcode[number]):
                pages.append(f'/before/{number}')
                self.assertEqual(self.purge(pages[-1]).status, 200)
                daemon.break_disk(number)
                answer = self.purge('/refused')
                self.assertEqual(answer.status, 503, answer)
                self.assertIn('retry-after', answer.headers)
                wait_for(lambda number=number: os.strerror(number) in daemon.readiness().body, 10,
                         '/readyz says why')
                self.assertEqual(daemon.readiness().status, 503)
                daemon.wait_metric('purgeline_journal_trouble', 1)
                self.assertRegex(daemon.log.read_text(), 'event="journal refuses events" state='
                                 f'begins why="[^"]*{os.strerror(number)}')
                daemon.break_disk(0)
                pages.append(f'/after/{number}')
                wait_for(lambda: self.purge(pages[-1]).status == 200, 20, 'it goes on by itself')
                daemon.wait_ready()
        daemon.kill()
        daemon.start()
        self.wait_purged(pages)


class TestNothingLostOnKafka(TestNothingLost):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.kafka = Kafka()
        cls.keep(cls.kafka)
        cls.kafka.start()


class TestOutbox(ServerTestCase):
    """The log is Kafka, and the journal keeps what it cannot take."""

    TOPIC = 'eqiad.resource-purge'

    def test_a_broker_that_is_down_holds_up_nobody_and_loses_nothing(self):
        sink = PurgeSink()
        self.addCleanup(sink.cleanup)
        kafka = Kafka().start()
        kafka.create_topic(self.TOPIC)
        address = f'127.0.0.1:{free_port()}'
        intake = {'http': {'listen': [address], 'topic_prefix': 'eqiad.',
                           'purge_topic': self.TOPIC}}
        daemon = Purgeline(kafka, [self.TOPIC], [('cache', [sink.address])], {'intake': intake})
        daemon.start()
        pages = []

        def purge(count):
            for _ in range(count):
                pages.append(f'/{len(pages)}')
                self.assertEqual(http_client.request(address, 'PURGE', pages[-1], HOST).status, 200)

        purge(10)
        wait_for(lambda: kafka.end_offset(self.TOPIC) == 10, 20, 'Kafka has them')
        daemon.wait_metric('purgeline_outbox_forwarded_events_total', 10)
        kafka.stop()
        purge(200)
        wait_for(lambda: daemon.metric('purgeline_outbox_waiting_events') >= 200, 20, 'they wait')
        wait_for(lambda: 'events wait for Kafka: ' in daemon.readiness().body, 30, 'it says so')
        self.assertGreater(daemon.metric('purgeline_outbox_oldest_waiting_seconds'), 0)
        daemon.kill()
        daemon.launch()
        wait_for(lambda: http_client.answers(address), 20, 'it takes events without a broker')
        purge(100)
        self.assertEqual(daemon.stop(), 0)  # which waits for no broker either
        daemon.launch()
        kafka.start()
        wait_for(lambda: daemon.metric('purgeline_outbox_waiting_events') == 0, 60, 'none waits')
        # The kill may have come before what was confirmed was noted; then it is there twice.
        seen = [json.loads(value)['meta']['uri'].rsplit('/', 1)[1] for value in
                kafka.consume(self.TOPIC, kafka.end_offset(self.TOPIC))]
        first = list(dict.fromkeys(seen))
        self.assertEqual(first, [page[1:] for page in pages])
        self.assertLessEqual(len(seen), len(pages) + 10)
        wait_for(lambda: {(HOST, page) for page in pages} <= set(sink.urls(HOST)), 60,
                 'all are purged')
        daemon.wait_ready()
        self.assertEqual(daemon.stop(), 0)

    def test_a_journal_that_was_the_log_forwards_what_is_unfinished_and_nothing_else(self):
        sink = PurgeSink()
        cache = contextlib.ExitStack()
        cache.callback(sink.cleanup)
        self.addCleanup(cache.close)
        kafka = Kafka().start()
        kafka.create_topic('resource-purge')
        address = f'127.0.0.1:{free_port()}'
        intake = {'http': {'listen': [address]}}
        layers = [('cache', [sink.address])]
        daemon = Purgeline(None, [], layers, {'intake': intake, 'purge': {'drain_grace': '0s'}})
        daemon.start()

        def purge(name, count):
            for n in range(count):
                answer = http_client.request(address, 'PURGE', f'/{name}/{n}', HOST)
                self.assertEqual(answer.status, 200)

        purge('done', 30)
        daemon.wait_metric('purgeline_committed_offset', 30)
        cache.close()  # it is away from now on
        purge('open', 5)
        daemon.stop()
        journal_alone = daemon.config.read_text()
        own = Purgeline(kafka, ['resource-purge'], layers, {'intake': intake})
        text = own.config.read_text().replace(str(own.folder), str(daemon.folder))
        daemon.config.write_text(text.replace(own.admin, daemon.admin))
        daemon.launch()
        wait_for(lambda: http_client.answers(daemon.admin), 20, 'it runs')
        wait_for(lambda: daemon.metric('purgeline_outbox_forwarded_events_total') >= 5, 60,
                 'the open ones are forwarded')
        purge('new', 1)
        wait_for(lambda: kafka.end_offset('resource-purge') == 6, 20, 'Kafka has the new one')
        seen = [json.loads(value)['meta']['uri'].split(HOST)[1] for value in
                kafka.consume('resource-purge', 6)]
        self.assertEqual(seen, [f'/open/{n}' for n in range(5)] + ['/new/0'])
        wait_for(lambda: daemon.metric('purgeline_outbox_waiting_events') == 0, 20, 'none waits')
        daemon.stop()
        # And back: what Kafka has that was not read from there yet is a gap, for all we know.
        daemon.config.write_text(journal_alone)
        daemon.launch()
        wait_for(lambda: http_client.answers(daemon.admin), 20, 'it runs')
        daemon.wait_metric('purgeline_position_offset', 36)
        self.assertEqual(daemon.metric('purgeline_cold'), 1)
        daemon.stop()

    def test_what_kafka_refuses_is_sent_again_in_order(self):
        kafka = Kafka().start()
        kafka.create_topic('read')
        address = f'127.0.0.1:{free_port()}'
        daemon = Purgeline(kafka, ['read'], [('cache', ['127.0.0.1:1'])],
                           {'intake': {'http': {'listen': [address], 'purge_topic': 'read'}}})
        daemon.launch()
        wait_for(lambda: http_client.answers(address), 20, 'events are taken')
        for n in range(20):
            meta = {'stream': 'later', 'id': str(n), 'uri': f'https://{HOST}/{n}'}
            self.assertEqual(post(address, json.dumps({'meta': meta})).status, 201)
        daemon.wait_metric('purgeline_outbox_failures_total', 1, timeout=90)
        self.assertEqual(daemon.metric('purgeline_outbox_waiting_events'), 20)
        self.assertIn('later', daemon.readiness().body)
        kafka.create_topic('later')
        wait_for(lambda: daemon.metric('purgeline_outbox_waiting_events') == 0, 90, 'none waits')
        seen = [json.loads(value)['meta']['id'] for value in
                kafka.consume('later', kafka.end_offset('later'))]
        self.assertEqual(seen[-20:], [str(n) for n in range(20)])
        self.assertEqual(daemon.stop(), 0)


class Small(OnSmallDisk):
    size = '16m'


class BrokenDisk(Purgeline):
    """Its journal cannot be written while the test says so."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.file = self.folder / 'broken'
        self.file.write_bytes(struct.pack('q', 0))

    def break_disk(self, number):
        """With this error number; 0 mends it."""
        with open(self.file, 'r+b', buffering=0) as file:
            file.write(struct.pack('q', number))

    def environment(self):
        return {**os.environ, 'LD_PRELOAD': os.environ['PURGELINE_REFUSE_WRITES'],
                'PURGELINE_TEST_REFUSE_WRITES': str(self.file)}


if __name__ == '__main__':
    main()
