"""What `./dev demo` shows, and that it does not claim what it has not seen."""

import re
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from harness import http_client, main

DEMO = [sys.executable, '-B', str(Path(__file__).parent / 'demo.py')]


class TestDemo(unittest.TestCase):
    def run_demo(self, status, *options):
        done = subprocess.run([*DEMO, *options], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def assert_life(self, said):
        """Every moment of the purge is there, in an order that is possible."""
        places = [said.index(moment) for moment in (
            'the editor sends', 'has saved it', 'Purgeline has the event', 'Varnish gets PURGE',
            'Varnish has answered 204', 'the journal has it as finished')]
        self.assertEqual(places, sorted(places), said)

    def test_an_edit_of_a_wiki_ends_with_a_fresh_page(self):
        said = self.run_demo(0)
        self.assertRegex(said, r'mediawiki +1\.\d')
        self.assert_life(said)
        self.assertRegex(said, r'second reader +200 hit .* version 1\n')
        self.assertRegex(said, r'third reader +200 miss .* version 2\n')
        self.assertTrue(said.endswith('The page is fresh.\n'), said)

    def test_a_small_origin_stands_in_for_the_wiki(self):
        said = self.run_demo(0, '--origin')
        self.assertNotIn('mediawiki', said)
        self.assert_life(said)
        self.assertTrue(said.endswith('The page is fresh.\n'), said)

    def test_fails_when_varnish_denies_purge(self):
        said = self.run_demo(1, '--deny-purge')
        self.assertNotIn('as finished', said)
        self.assertRegex(said, r'third reader +200 hit .* version 1\n')
        self.assertTrue(said.endswith('THE PAGE IS NOT FRESH.\n'), said)

    def test_kafka_and_both_caches(self):
        said = self.run_demo(0, '--kafka')
        self.assertIn('version 2', said.splitlines()[-2])

    def test_fails_when_varnish_denies_purge_of_an_event_in_kafka(self):
        said = self.run_demo(1, '--kafka', '--deny-purge')
        self.assertIn('version 1', said.splitlines()[-2])

    def test_keeps_running_until_it_is_interrupted(self):
        demo = subprocess.Popen([*DEMO, '--keep'], stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(demo.stdout.close)
        self.addCleanup(demo.kill)
        said = ''
        while 'varnishlog' not in said:
            line = demo.stdout.readline()
            self.assertTrue(line, said)
            said += line
        wiki = re.search(r'through Varnish +http://(\S+?)(/\S+)', said)
        admin = re.search(r'readiness +http://(\S+)/metrics', said).group(1)
        page = http_client.request(wiki.group(1), 'GET', wiki.group(2), wiki.group(1))
        self.assertIn('This is version 2', page.body)
        self.assertEqual(http_client.request(admin, 'GET', '/readyz').status, 200)
        demo.send_signal(signal.SIGINT)
        self.assertEqual(demo.wait(60), 128 + signal.SIGINT)
        for address in (wiki.group(1), admin):
            self.assertFalse(http_client.answers(address))


if __name__ == '__main__':
    main()
