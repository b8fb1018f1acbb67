"""The files that are shipped for others: Traffic Server reads them, and PHP runs them."""

import http.client
import http.server
import json
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from harness import (Origin, Purgeline, ServerTestCase, TrafficServer, Varnish, free_port,
                     http_client, main, run_cli, wait_for)

ROOT = Path(__file__).parents[2]
HOST = 'en.example.org'
RELAYER = ROOT / 'packaging/mediawiki/PurgelineEventRelayer.php'


class TestTrafficServerFiles(ServerTestCase):
    def setUp(self):
        super().setUp()
        self.origin = Origin()
        self.addCleanup(self.origin.cleanup)
        self.server = TrafficServer(self.origin.address)
        etc = self.server.folder / 'etc'
        shipped = ROOT / 'conf/trafficserver'
        for name in ('ip_allow.yaml', 'logging.yaml'):
            (etc / name).write_text((shipped / name).read_text())
        records = (etc / 'records.config').read_text()
        records = records.replace('logging_enabled INT 0', 'logging_enabled INT 3')
        records += 'CONFIG proxy.config.log.max_secs_per_buffer INT 1\n'
        (etc / 'records.config').write_text(records + (shipped / 'records.config').read_text())
        self.server.start()

    def ask(self, method, target, source='127.0.0.1'):
        connection = http.client.HTTPConnection('127.0.0.1', self.server.port, timeout=20,
                                                source_address=(source, 0))
        self.addCleanup(connection.close)
        connection.request(method, target, headers={'Host': HOST})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def test_this_host_purges_and_others_do_not(self):
        self.server.fill(HOST, '/page')
        self.assertEqual(self.ask('PURGE', '/page', '127.0.0.2'), 403)
        self.assertTrue(self.server.cached(HOST, '/page'))
        self.assertEqual(self.ask('GET', '/page', '127.0.0.2'), 200)
        self.assertEqual(self.ask('PURGE', '/page'), 200)
        self.assertFalse(self.server.cached(HOST, '/page'))

    def test_a_connection_takes_many_purges_and_none_is_logged(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.server.port, timeout=20)
        self.addCleanup(connection.close)
        connection.connect()
        socket = connection.sock
        for number in range(100):
            connection.request('PURGE', f'/purged-{number}', headers={'Host': HOST})
            answer = connection.getresponse()
            answer.read()
            self.assertEqual(answer.status, 404)
            self.assertIs(connection.sock, socket, 'the connection was closed')
        # What comes last is in the log: then what came before it would be too.
        self.assertEqual(self.ask('GET', '/logged'), 200)
        log = self.server.folder / 'log.d/access.log'
        wait_for(lambda: log.exists() and '/logged' in log.read_text(), 30, 'the access log')
        self.assertNotIn('PURGE', log.read_text())


class TestUnproven(ServerTestCase):
    """A Varnish without the shipped VCL sends PURGE on, and the origin says 200."""

    def test_an_origins_answer_is_not_taken_for_a_purge(self):
        origin = Origin()
        self.addCleanup(origin.cleanup)
        host, port = origin.address.split(':')
        backend = f'vcl 4.1;\nbackend default {{ .host = "{host}"; .port = "{port}"; }}\n'
        varnish = Varnish(origin.address, vcl=backend).start()
        self.assertIn('version 1', varnish.get(HOST, '/page').body)
        origin.bump()
        intake = f'127.0.0.1:{free_port()}'
        daemon = Purgeline(None, [], [('varnish', [varnish.address])],
                           {'intake': {'http': {'listen': [intake]}}}).launch()
        wait_for(lambda: http_client.answers(intake), 20, 'purges are taken')
        asked = http_client.request(intake, 'PURGE', '/page', HOST, {'Prefer': 'wait=10'})
        self.assertIn('"outcome":"purged","status":200', asked.body)
        self.assertIn('version 1', varnish.get(HOST, '/page').body, 'the VCL purged after all')
        daemon.wait_metric('purgeline_target_unproven', 1, target=varnish.address)
        readiness = daemon.readiness()
        self.assertEqual(readiness.status, 503)
        self.assertIn(f'{varnish.address} unproven', readiness.body)
        told = run_cli('purge', '-t', varnish.address, f'http://{HOST}/page')
        self.assertIn('nothing shows that a cache gave these answers', told.stderr)

        (varnish.folder / 'shipped').write_text(
            backend + (ROOT / 'conf/purge.vcl').read_text())
        varnish.admin('vcl.load', 'shipped', str(varnish.folder / 'shipped'))
        varnish.admin('vcl.use', 'shipped')
        asked = http_client.request(intake, 'PURGE', '/page', HOST, {'Prefer': 'wait=10'})
        self.assertIn('"outcome":"purged","status":204', asked.body)
        self.assertIn('version 2', varnish.get(HOST, '/page').body)
        daemon.wait_ready()
        self.assertEqual(daemon.metric('purgeline_target_unproven'), 0)
        log = daemon.log.read_text()
        self.assertEqual((log.count('target unproven'), log.count('target proven')), (1, 1))
        self.assertEqual(daemon.stop(), 0)


class Intake(http.server.BaseHTTPRequestHandler):
    """Stands in for the HTTP intake: keeps what comes, and answers as it is told."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.server.requests.append((self.path, dict(self.headers), json.loads(body)))
        status = self.server.answers.pop(0) if self.server.answers else 201
        self.send_response(status)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


# What the class needs of MediaWiki 1.39: a base class that keeps none of its parameters, a log, the
# address of the wiki, and a queue of jobs.
PHP = '''<?php
namespace MediaWiki\Logger {
class ToStderr { public function error( $text, $context ) { fwrite( STDERR, strtr( $text,
    [ '{status}' => $context['status'], '{answer}' => $context['answer'] ] ) ); } }
class LoggerFactory { public static function getInstance( $channel ) { return new ToStderr; } }
}
namespace MediaWiki {
class MediaWikiServices {
    public static function getInstance() { return new self; }
    public function getJobQueueGroup() { return $this; }
    public function lazyPush( $job ) { echo 'job ', json_encode( $job->params ), "\n"; }
}
}
namespace {
const PROTO_INTERNAL = 2;
function wfExpandUrl( $url, $proto ) { return $url[0] === '/' ? "http://wiki$url" : $url; }
class CdnPurgeJob { public function __construct( public array $params ) {} }
abstract class EventRelayer {
    protected $logger;
    public function __construct( array $params ) {}
    public function setLogger( $logger ) { $this->logger = $logger; }
    final public function notifyMulti( $channel, $events ) {
        return $this->doNotify( $channel, $events );
    }
    abstract protected function doNotify( $channel, array $events );
}
require $argv[1];
$relayer = new PurgelineEventRelayer( json_decode( $argv[2], true ) );
var_dump( $relayer->notifyMulti( 'cdn-url-purges', json_decode( $argv[3], true ) ) );
}
'''


class TestEventRelayer(unittest.TestCase):
    def setUp(self):
        self.intake = http.server.HTTPServer(('127.0.0.1', 0), Intake)
        self.intake.requests, self.intake.answers = [], []
        thread = threading.Thread(target=self.intake.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.intake.server_close)
        self.addCleanup(self.intake.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / 'run.php').write_text(PHP)

    def notify(self, events, **settings):
        settings.setdefault('url', f'http://127.0.0.1:{self.intake.server_port}/v1/events')
        done = subprocess.run(
            ['php', self.folder / 'run.php', RELAYER, json.dumps(settings), json.dumps(events)],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        *jobs, result = done.stdout.splitlines()
        self.assertIn(result, ('bool(true)', 'bool(false)'))
        self.jobs = [json.loads(job.removeprefix('job ')) for job in jobs]
        return result == 'bool(true)'

    def test_posts_events_with_microseconds(self):
        self.assertTrue(self.notify([{'url': 'http://h/wiki/É/"a"', 'timestamp': 1700000000.000042},
                                     {'url': 'http://h/b', 'timestamp': 1700000000}]))
        [(path, headers, events)] = self.intake.requests
        self.assertEqual((path, headers['Content-Type']), ('/v1/events', 'application/json'))
        self.assertEqual(events[0], {
            '$schema': '/resource_change/1.0.0', 'tags': ['mediawiki'],
            'meta': {'uri': 'http://h/wiki/É/"a"', 'stream': 'resource-purge',
                     'dt': '2023-11-14T22:13:20.000042Z'}})
        self.assertEqual(events[1]['meta']['dt'], '2023-11-14T22:13:20.000000Z')
        self.assertNotIn('Authorization', headers)

    def test_tries_again_what_may_pass(self):
        self.intake.answers = [503, 504, 201]
        self.assertTrue(self.notify([{'url': 'http://h/a', 'timestamp': 1}], stream='other'))
        self.assertEqual(len(self.intake.requests), 3)
        self.assertEqual(self.intake.requests[2][2][0]['meta']['stream'], 'other')

    def test_says_so_when_it_was_not_taken(self):
        for answers in ([503, 503, 503], [400], [207], [401]):
            with self.subTest(answers=answers):
                self.intake.requests.clear()
                self.intake.answers = list(answers)
                self.assertFalse(self.notify([{'url': 'http://h/a', 'timestamp': 1}]))
                self.assertEqual(len(self.intake.requests), len(answers))
        self.assertFalse(self.notify([{'url': 'http://h/a', 'timestamp': 1}], tries=1,
                                     url='http://127.0.0.1:1/v1/events'))

    def test_what_was_not_taken_becomes_a_job_when_asked_for(self):
        for status, queue, jobs in ((503, True, [{'urls': ['/a', 'http://h/b']}]), (503, False, []),
                                    (400, True, []), (201, True, [])):
            with self.subTest(status=status, queue=queue):
                self.intake.answers = [status]
                events = [{'url': url, 'timestamp': 1} for url in ('/a', 'http://h/b')]
                self.assertEqual(self.notify(events, tries=1, queue=queue), status == 201)
                self.assertEqual(self.jobs, jobs)

    def test_completes_addresses_of_the_own_host(self):
        self.assertTrue(self.notify([{'url': '/images/a.png', 'timestamp': 1}]))
        self.assertEqual(self.intake.requests[0][2][0]['meta']['uri'], 'http://wiki/images/a.png')

    def test_shows_its_token_and_splits_what_is_many(self):
        (self.folder / 'token').write_text('0123456789abcdef\n')
        events = [{'url': f'http://h/{number}', 'timestamp': 1} for number in range(1001)]
        self.assertTrue(self.notify(events, tokenFile=str(self.folder / 'token')))
        self.assertEqual([len(events) for _, _, events in self.intake.requests], [1000, 1])
        self.assertEqual(self.intake.requests[0][1]['Authorization'], 'Bearer 0123456789abcdef')


if __name__ == '__main__':
    main()
