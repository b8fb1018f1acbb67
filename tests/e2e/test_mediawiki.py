"""Stock MediaWiki, Varnish and Purgeline as docs/mediawiki.md sets them up, without Kafka.

Purgeline is the only one that purges: each set-up also shows that without it the page stays old.
"""

import subprocess
import zlib

from harness import ServerTestCase, http_client, main, run_cli, wait_for
from harness.mediawiki import HOST
from harness.small_wiki import EXAMPLE, ROOT, SmallWiki, block, put

PAGES_OF_TEMPLATE = 30


class WikiTestCase(ServerTestCase):
    """The servers of a class run as long as its tests; each test has pages of its own."""

    way = None
    settings = ''
    fence = False

    @classmethod
    def setUpClass(cls):
        if cls.way is None:
            return
        cls.site = SmallWiki(cls.way, cls.settings, fence=cls.fence)
        cls.keep(*cls.site.servers())
        cls.site.start()

    def title(self, number=0):
        return f'{self._testMethodName}_{number}'[5:].capitalize()

    def cached(self, target, text):
        """Views a page twice: then Varnish has it, and says so."""
        self.assertIn(text, self.site.view(target).body)
        again = self.site.view(target)
        self.assertEqual(again.headers['x-cache'], 'hit')
        self.assertIn(text, again.body)

    def make(self, title, text):
        """A page that exists and is cached, with no purge of it under way; returns its address."""
        self.site.wiki.edit(title, text)
        target = f'/wiki/{title}'
        self.site.settle()
        self.cached(target, text)
        return target

    def assert_stale(self, target, text):
        answer = self.site.view(target)
        self.assertEqual(answer.headers['x-cache'], 'hit')
        self.assertIn(text, answer.body)

    def wait_fresh(self, target, text):
        wait_for(lambda: text in self.site.view(target).body, 30, f'{target} says {text!r}')


class EachWay:
    """What holds whichever way MediaWiki hands its purges over."""

    def test_an_edit_is_seen(self):
        target = self.make(self.title(), 'first text')
        self.site.wiki.edit(self.title(), 'second text')
        self.wait_fresh(target, 'second text')
        self.cached(target, 'second text')

    def test_without_purgeline_a_page_stays_old_and_saving_works(self):
        target = self.make(self.title(), 'first text')
        self.site.purgeline.stop()
        self.addCleanup(self.restart)
        self.site.wiki.edit(self.title(), 'second text')
        self.assert_stale(target, 'first text')
        self.restart()
        self.after_restart(target)

    def restart(self):
        if not self.site.purgeline.running():
            self.site.purgeline.start()

    def after_restart(self, target):
        """What could not be handed over is lost: a later purge gets through, that one does not."""
        other = self.make(self.title(1), 'another page')
        self.site.wiki.edit(self.title(1), 'edited')
        self.wait_fresh(other, 'edited')
        self.site.settle()
        self.assert_stale(target, 'first text')

    def test_a_standstill_loses_nothing(self):
        target = self.make(self.title(), 'first text')
        self.site.purgeline.pause()
        self.addCleanup(self.site.purgeline.resume)
        self.site.wiki.edit(self.title(), 'second text')
        self.assert_stale(target, 'first text')
        self.site.purgeline.resume()
        self.wait_fresh(target, 'second text')

    def test_kill_9_after_a_save_leaves_no_old_page(self):
        target = self.make(self.title(), 'first text')
        daemon = self.site.purgeline
        # The cache cannot be reached, so the purge is on disk and cannot be done before the kill.
        daemon.stop()
        self.addCleanup(self.restart)
        self.site.varnish.hide_socket(True)
        self.addCleanup(self.site.varnish.hide_socket, False)
        daemon.launch()
        wait_for(lambda: http_client.answers(daemon.admin), 30, 'purgeline runs')
        self.site.wiki.edit(self.title(), 'second text')
        daemon.wait_metric('purgeline_journal_appended_events_total', 1)
        daemon.kill()
        self.site.varnish.hide_socket(False)
        self.assert_stale(target, 'first text')
        daemon.start()
        self.wait_fresh(target, 'second text')


class TestEventRelayer(EachWay, WikiTestCase):
    way = 'Event relayer'
    # A standstill is waited for this long only.
    settings = '''
$wgEventRelayerConfig['cdn-url-purges']['timeout'] = 1;
$wgEventRelayerConfig['cdn-url-purges']['tries'] = 2;
'''

    def after_restart(self, target):
        """What was not handed over is in the wiki's job queue, and runs of jobs come to an end."""
        self.site.settle()
        self.assert_stale(target, 'first text')

        def fresh():
            self.site.wiki.run_jobs()
            return 'second text' in self.site.view(target).body
        wait_for(fresh, 60, 'a job has handed the purge over', pause=0.5)

    def test_a_run_of_jobs_ends_while_nobody_answers(self):
        target = self.make(self.title(), 'first text')
        self.site.purgeline.stop()
        self.addCleanup(self.restart)
        self.site.wiki.edit(self.title(), 'second text')
        wait_for(lambda: 'cdnPurge' in self.site.wiki.run_jobs(), 60, 'the job has run', pause=0.5)
        self.assert_stale(target, 'first text')
        self.restart()
        self.after_restart(target)


class TestPurge(EachWay, WikiTestCase):
    way = 'PURGE'
    # Readers come by https, as far as MediaWiki knows.
    settings = f'''
$wgServer = 'https://{HOST}';
$wgHTTPTimeout = 2;
'''


class TestHtcp(EachWay, WikiTestCase):
    way = 'HTCP'


class TestAsShipped(WikiTestCase):
    """The set-up of the page with nothing left out: its commands, and the default fence."""

    way = 'Event relayer'
    fence = True

    def run_line(self, line):
        done = subprocess.run(['bash', '-c', put(line, {place: own for place, own in {
            f'https://{HOST}': f'-H "Host: {HOST}" http://{self.site.varnish.address}',
            'http://127.0.0.1:2112': f'http://{self.site.purgeline.admin}'}.items()
            if place in line})], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f'{line}: {done.stdout}{done.stderr}')
        return done.stdout

    def test_what_the_page_says_is_seen(self):
        view, edit, view_again, metrics, readiness = block('See it work', '').splitlines()
        self.site.settle()
        self.run_line(view)
        self.assertIn('X-Cache: hit', self.run_line(view))
        self.assertTrue(edit.startswith('# edit'), edit)
        self.site.wiki.edit('Main_Page', 'second text')
        wait_for(lambda: 'X-Cache: miss' in self.run_line(view_again), 30, 'the page is a miss')
        self.cached('/wiki/Main_Page', 'second text')
        said = self.run_line(metrics)
        self.assertRegex(said, r'purgeline_purges_total\{.*outcome="purged".*\} [1-9]')
        self.assertRegex(said, r'purgeline_intake_http_events_total\{.*"accepted".*\} [1-9]')
        self.assertIn('"ready":true', self.run_line(readiness))
        # The fence takes what it finds, and the page is as fresh as before.
        wait_for(lambda: 'X-Cache: miss' in self.run_line(view), 30, 'the fence has purged it')
        self.assertGreater(self.site.purgeline.metric('purgeline_fence_purges_total'), 0)
        self.cached('/wiki/Main_Page', 'second text')
        self.site.settle()


class TestWhatIsPurged(WikiTestCase):
    """The addresses of one change: those of other pages, of a moved page, of a file."""

    way = 'Event relayer'

    def test_all_pages_of_a_template(self):
        template = f'Template:{self.title()}'
        self.site.wiki.edit(template, 'old words')
        for number in range(PAGES_OF_TEMPLATE):
            self.site.wiki.edit(self.title(number), f'{{{{{self.title()}}}}}')
        self.site.wiki.run_jobs()
        self.site.settle()
        targets = [f'/wiki/{self.title(number)}' for number in range(PAGES_OF_TEMPLATE)]
        for target in targets:
            self.cached(target, 'old words')
        self.site.wiki.edit(template, 'new words')
        self.site.settle()
        for target in targets:
            self.assert_stale(target, 'old words')  # MediaWiki leaves them to its jobs
        self.site.wiki.run_jobs()
        for target in targets:
            self.wait_fresh(target, 'new words')

    def test_a_storm_of_edits_ends_with_the_last(self):
        target = self.make(self.title(), 'first text')
        for number in range(10):
            self.site.wiki.edit(self.title(), f'text {number}.')
            self.site.view(target)
        self.wait_fresh(target, 'text 9.')

    def test_a_moved_page(self):
        target = self.make(self.title(), 'moving words')
        there = f'/wiki/{self.title(1)}'
        # Nobody is there yet; that answer is not stored.
        self.assertEqual(self.site.view(there).status, 404)
        self.site.wiki.move(self.title(), self.title(1))
        self.wait_fresh(target, 'Redirected from')
        self.wait_fresh(there, 'moving words')

    def test_a_deleted_page(self):
        target = self.make(self.title(), 'words to go')
        self.site.wiki.delete(self.title())
        wait_for(lambda: self.site.view(target).status == 404, 30, 'the page is gone')

    def test_a_new_version_of_a_file(self):
        name = f'{self.title()}.png'
        made = self.site.wiki.upload(name, png(1))
        target = made['imageinfo']['url'].split(HOST)[1]
        page = f'/wiki/File:{name}'
        self.site.settle()
        for _ in range(2):
            small = self.site.view(target)
            self.site.view(page)
        self.assertEqual(small.headers['x-cache'], 'hit')
        self.assertIn('1 × 1', self.site.view(page).body)
        self.site.wiki.upload(name, png(2))
        wait_for(lambda: self.site.view(target).body != small.body, 30, 'the new file is served')
        self.wait_fresh(page, '2 × 2')

    def test_the_history_of_a_page(self):
        target = self.make(self.title(), 'first text')
        history = f'/index.php?title={self.title()}&action=history'
        self.site.view(history)
        self.assertEqual(self.site.view(history).headers['x-cache'], 'hit')
        self.site.wiki.edit(self.title(), 'second text')
        self.wait_fresh(target, 'second text')
        wait_for(lambda: self.site.view(history).body.count('mw-changeslist-date') == 2, 30,
                 'the history has both edits')

    def test_who_is_logged_in_is_never_served_from_the_cache(self):
        target = self.make(self.title(), 'some text')
        for cookie, verdict in (('wiki_session=abc', 'miss'), ('wikiUserID=1', 'miss'),
                                ('_ga=1.2; theme=dark', 'hit')):
            with self.subTest(cookie=cookie):
                answer = http_client.request(self.site.varnish.address, 'GET', target, HOST,
                                             {'Cookie': cookie}, timeout=60)
                self.assertEqual(answer.headers['x-cache'], verdict)


class TestShippedConfigurations(ServerTestCase):
    def test_they_are_valid(self):
        for file in (EXAMPLE, ROOT / 'conf/purgeline.yaml'):
            with self.subTest(file=file.name):
                done = run_cli('config', 'check', '-c', file)
                self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)


def png(side):
    """A square picture of one colour."""
    def chunk(kind, data):
        checked = kind + data
        return len(data).to_bytes(4, 'big') + checked + zlib.crc32(checked).to_bytes(4, 'big')
    size = side.to_bytes(4, 'big')
    rows = (b'\0' + b'\x30\x60\x90' * side) * side
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', size + size + b'\x08\x02\0\0\0')
            + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))


if __name__ == '__main__':
    main()
