"""The harness itself: each server really runs and caches, and nothing is left when a test fails."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import unittest
from pathlib import Path

from harness import (Kafka, Origin, PurgeSink, ServerFailed, ServerTestCase, TrafficServer, Varnish,
                     main, purge_event, start_all, wait_for)
from harness import http_client, process
from harness.testcase import USAGE

HOST = 'en.example.org'


class TestVarnish(ServerTestCase):
    def setUp(self):
        super().setUp()
        self.origin = Origin()
        self.addCleanup(self.origin.cleanup)
        self.varnish = Varnish(self.origin.address).start()

    def test_caches_until_purged(self):
        for unix in (False, True):
            with self.subTest(unix=unix):
                page = f'/page-{unix}'
                first = self.varnish.get(HOST, page)
                version = self.origin.bump()
                again = self.varnish.get(HOST, page)
                self.assertEqual(again.headers['x-cache-frontend'], 'hit')
                self.assertEqual(again.body, first.body)
                answer = self.varnish.purge(HOST, page, unix=unix)
                self.assertEqual((answer.status, answer.reason), (204, 'Purged'))
                fresh = self.varnish.get(HOST, page)
                self.assertEqual(fresh.headers['x-cache-frontend'], 'miss')
                self.assertIn(f'version {version}', fresh.body)
                self.assertEqual(self.origin.requests(page), 2)

    def test_denies_purge_and_allows_it_again(self):
        self.varnish.deny_purge(True)
        self.assertEqual(self.varnish.purge(HOST, '/a').status, 405)
        self.varnish.deny_purge(False)
        self.assertEqual(self.varnish.purge(HOST, '/a').status, 204)

    def test_starts_again_after_stop_and_kill(self):
        self.varnish.stop()
        self.assertFalse(http_client.answers(self.varnish.address))
        self.varnish.start()
        self.varnish.kill()
        self.assertFalse(http_client.answers(self.varnish.address))
        self.varnish.start()
        self.assertEqual(self.varnish.purge(HOST, '/a', unix=True).status, 204)


class TestTrafficServer(ServerTestCase):
    def setUp(self):
        super().setUp()
        self.origin = Origin()
        self.addCleanup(self.origin.cleanup)
        self.server = TrafficServer(self.origin.address).start()

    def test_caches_until_purged(self):
        self.assertFalse(self.server.cached(HOST, '/page'))
        self.assertEqual(self.server.fill(HOST, '/page').headers['x-cache'], 'miss')
        self.assertEqual(self.server.get(HOST, '/page').headers['x-cache'], 'hit-fresh')
        self.assertEqual(self.server.purge(HOST, '/page').status, 200)
        self.assertEqual(self.server.purge(HOST, '/page').status, 404)
        self.assertFalse(self.server.cached(HOST, '/page'))
        version = self.origin.bump()
        self.assertIn(f'version {version}', self.server.get(HOST, '/page').body)
        self.assertEqual(self.origin.requests('/page'), 2)

    def test_tells_hosts_apart(self):
        self.server.fill('one.example.org', '/page')
        self.server.fill('two.example.org', '/page')
        self.assertEqual(self.server.purge('one.example.org', '/page').status, 200)
        self.assertTrue(self.server.cached('two.example.org', '/page'))

    def test_starts_again(self):
        self.server.stop()
        self.assertFalse(http_client.answers(self.server.address))
        self.server.start()
        self.assertEqual(self.server.purge(HOST, '/none').status, 404)


class TestBothCaches(ServerTestCase):
    def test_frontend_refills_from_the_backend(self):
        origin = Origin()
        self.addCleanup(origin.cleanup)
        backend = TrafficServer(origin.address)
        frontend = Varnish(backend.address)
        start_all(backend, frontend)
        frontend.get(HOST, '/page')
        wait_for(lambda: backend.cached(HOST, '/page'), 10, 'the backend stored the page')
        version = origin.bump()
        # The order matters: purged alone, the frontend takes the old copy from the backend again.
        frontend.purge(HOST, '/page')
        self.assertNotIn(f'version {version}', frontend.get(HOST, '/page').body)
        backend.purge(HOST, '/page')
        frontend.purge(HOST, '/page')
        self.assertIn(f'version {version}', frontend.get(HOST, '/page').body)


class TestKafka(ServerTestCase):
    def test_produces_and_consumes_over_a_restart(self):
        kafka = Kafka().start()
        kafka.create_topic('events', partitions=2)
        values = [purge_event(f'https://{HOST}/wiki/{n}') for n in range(3)]
        kafka.produce('events', values)
        self.assertEqual(kafka.consume('events', 3), values)
        self.assertEqual((kafka.end_offset('events'), kafka.end_offset('events', 1)), (3, 0))
        self.assertEqual(kafka.committed('nobody', 'events'), -1)
        kafka.stop()
        self.assertFalse(http_client.answers(kafka.address))
        kafka.start()
        self.assertEqual(kafka.end_offset('events'), 3)
        kafka.add_partitions('events', 3)
        kafka.pause()
        kafka.resume()
        kafka.produce('events', ['one more'], partition=2)
        self.assertEqual(kafka.end_offset('events', 2), 1)


class TestPurgeSink(unittest.TestCase):
    def test_records_pipelined_purges_in_order(self):
        sink = PurgeSink()
        self.addCleanup(sink.cleanup)
        with socket.create_connection(('127.0.0.1', sink.port)) as connection:
            connection.sendall(b''.join(
                b'PURGE /%d HTTP/1.1\r\nHost: a.example\r\n\r\n' % n for n in range(1000)))
            wait_for(lambda: len(sink.seen) == 1000, 10, 'the sink saw 1000 purges')
        self.assertEqual([target for *_, target in sink.seen], [f'/{n}' for n in range(1000)])


def processes_in(folder):
    """Command lines of running processes that mention the folder."""
    found = []
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            line = (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode()
        except OSError:
            continue
        if str(folder) in line and int(entry.name) != os.getpid():
            found.append(line)
    return found


class TestNothingIsLeft(unittest.TestCase):
    """Runs a program of tests that starts all three servers and then comes to harm."""

    def start_victim(self, ending):
        source = textwrap.dedent(f'''
            import os, sys, time
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from harness import *
            class Victim(ServerTestCase):
                def test_it(self):
                    origin = Origin()
                    backend = TrafficServer(origin.address)
                    servers = (backend, Varnish(backend.address), Kafka())
                    start_all(*servers)
                    print(*(server.folder for server in servers), flush=True)
                    {ending}
            main()
        ''')
        environment = {name: value for name, value in os.environ.items() if name != USAGE}
        victim = subprocess.Popen([sys.executable, '-c', source], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env=environment)
        self.addCleanup(victim.stdout.close)
        for line in victim.stdout:
            if line.startswith('/') or '... /' in line:
                folders = line[line.index('/'):].split()
                return victim, folders
        self.fail('the servers did not start')

    def assert_nothing_left(self, folders):
        wait_for(lambda: not [line for folder in folders for line in processes_in(folder)], 10,
                 'all processes of the servers are gone')

    def test_after_a_failing_test(self):
        victim, folders = self.start_victim('self.fail("on purpose")')
        self.assertIn('on purpose', victim.stdout.read())
        self.assertEqual(victim.wait(), 1)
        self.assertEqual(processes_in(folders[0]), [])
        self.assert_nothing_left(folders)
        self.assertFalse([folder for folder in folders if os.path.exists(folder)])

    def test_after_sigterm(self):
        victim, folders = self.start_victim('time.sleep(600)')
        self.assertTrue(all(processes_in(folder) for folder in folders))
        victim.terminate()
        self.assertNotEqual(victim.wait(), 0)
        self.assert_nothing_left(folders)
        self.assertFalse([folder for folder in folders if os.path.exists(folder)])

    def test_after_kill_9(self):
        victim, folders = self.start_victim('time.sleep(600)')
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        self.assert_nothing_left(folders)
        for folder in folders:
            subprocess.run(['rm', '-rf', folder], check=True)

    def test_a_skipped_test_fails_the_run(self):
        source = textwrap.dedent(f'''
            import sys
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from harness import *
            class Skipping(ServerTestCase):
                def test_it(self):
                    self.skipTest('no server')
            main()
        ''')
        done = subprocess.run([sys.executable, '-c', source], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stdout)


class TestServerThatCannotStart(ServerTestCase):
    def test_names_the_server_and_what_it_said(self):
        varnish = Varnish('127.0.0.1:1')
        (varnish.folder / 'vcl').write_text('no vcl')
        with self.assertRaisesRegex(ServerFailed, '(?s)varnish ended with .*VCL'):
            varnish.start()
        process.take_used()  # it did not take part


if __name__ == '__main__':
    main()
