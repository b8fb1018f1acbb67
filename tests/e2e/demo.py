#!/usr/bin/env python3
"""Edits a page of a wiki behind Varnish and prints the life of its purge, step by step.

Exit status 0: the page that a reader gets last is fresh. 1: it is not. Everything printed was read
from the answers, from Varnish's own log, from the journal, and from the daemon's metrics.
"""

import argparse
import json
import re
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timezone

import demo_kafka
from demo_steps import DENIED, show_purges, step
from harness import MediaWiki, Origin, ServerFailed, http_client, process, wait_for
from harness.mediawiki import PASSWORD, USER
from harness.purgeline import binary
from harness.small_wiki import SmallWiki

TITLE = 'Purged'
PAGE = f'/wiki/{TITLE}'
REFUSAL = '''
sub vcl_recv {
  if (req.method == "PURGE") {
    return (synth(405, "Method not allowed"));
  }
}
'''


class SmallOrigin(Origin):
    """Stands in for MediaWiki: every edit is a new version, and an event."""

    name = 'small origin'
    host = None

    def set_settings(self, settings):
        self._intake = re.search(r"'url' => '(.*)'", settings).group(1)

    def edit(self, title, _text):
        made = datetime.now(timezone.utc).isoformat()
        self.bump()
        event = {'$schema': '/resource_change/1.0.0', 'tags': ['demo'],
                 'meta': {'uri': f'http://{self.host}/wiki/{title}', 'dt': made,
                          'stream': 'resource-purge'}}
        request = urllib.request.Request(self._intake, json.dumps(event).encode(),
                                         {'Content-Type': 'application/json'})
        urllib.request.urlopen(request, timeout=30).close()

    @staticmethod
    def version():
        return ''


def text_of(answer):
    """The one sentence of the page."""
    found = re.search(r'(This is|/wiki/\w+) version \d+', answer.body)
    return found.group() if found else 'something else'


def show(who, answer):
    verdict, age = answer.headers.get('x-cache', '?'), answer.headers.get('age', '?')
    print(f'   {who:<15} {answer.status} {verdict:<5} Age: {age:<3} {text_of(answer)}')
    return text_of(answer)


def purges_of(varnish, target):
    """(begin, end, status) of every PURGE of it, from Varnish's log in shared memory."""
    said = subprocess.run(
        ['varnishncsa', '-d', '-n', varnish.folder / 'state', '-q', 'ReqMethod eq "PURGE"', '-F',
         '%{VSL:Timestamp:Start[1]}x %{VSL:Timestamp:Resp[1]}x %s %U'],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    lines = [line.split() for line in said.stdout.splitlines()]
    return [(int(float(begin) * 1e9), int(float(end) * 1e9), status)
            for begin, end, status, url in lines if url == target]


def event_of(site):
    """(offset, when it was taken in, when it says the page changed) of the page's last event."""
    rows = site.journal('SELECT id & 0xfffffffffff, time_ns, value FROM event ORDER BY id DESC')
    for offset, taken, value in rows:
        meta = json.loads(value)['meta']
        if meta['uri'].endswith(PAGE):
            # Microseconds, which a float of seconds would not keep.
            moment = datetime.fromisoformat(meta['dt'].replace('Z', '+00:00'))
            since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
            return offset, taken, (since.days * 86400 + since.seconds) * 10**9 \
                + since.microseconds * 1000
    raise ServerFailed(f'{PAGE} has no event in the journal')


def gained(daemon, before, name):
    return daemon.metric(name) - sum(value for _, value in before.get(name, []))


def show_life(site, before, began, saved, purges, positioned):
    offset, taken, changed = event_of(site)
    appended = gained(site.purgeline, before, 'purgeline_intake_http_append_seconds_sum')
    requests = gained(site.purgeline, before, 'purgeline_intake_http_append_seconds_count')
    moments = [(began, 'the editor sends the new text'),
               (changed, f'{site.wiki.name} has saved it and says so to Purgeline'),
               (taken, f'Purgeline has the event: resource-purge, offset {offset}; on disk'
                       f' {1000 * appended / requests:.1f} ms later'),
               (saved, 'the editor is told that it is saved')]
    for begin, end, status in purges:
        moments.append((begin, f'Varnish gets PURGE {PAGE}'))
        moments.append((end, f'Varnish has answered {status}'))
    if positioned:
        moments.append((positioned, 'the journal has it as finished: a restart goes on behind it'))
    for moment, what in sorted(moments):
        print(f'   {(moment - began) / 1e6:+9.1f} ms   {what}')


def start(options):
    stand_in = SmallOrigin if options.origin or not MediaWiki.available() else None
    site = SmallWiki('Event relayer', browsable=True, stand_in=stand_in,
                     vcl_first=REFUSAL if options.deny_purge else '')
    step(1, 'Servers start on free ports of this machine')
    began = time.monotonic()
    daemon = site.purgeline
    for server in site.servers():
        server.launch()
        if server is not daemon or not options.deny_purge:  # it is not ready then, and says so
            server.wait_ready()
    wait_for(lambda: http_client.answers(daemon.admin) or not daemon.running(), 60,
             'purgeline runs')
    for server in (site.wiki, site.varnish):
        print(f'   {server.name:<15} {server.version():<10} {server.address}')
    print(f'   {"purgeline":<15} {daemon.version():<10} {daemon.admin}'
          f'   (all up after {time.monotonic() - began:.1f} s)')
    return site


def run_wiki(options):
    site = start(options)
    daemon, varnish = site.purgeline, site.varnish

    def denied():
        return daemon.metric('purgeline_target_state') == DENIED
    site.wiki.edit(TITLE, 'This is version 1.')
    if not options.deny_purge:
        site.settle()

    step(2, f'Readers fetch http://{site.wiki.host}{PAGE} through Varnish')
    show('first reader', site.view(PAGE))
    old = show('second reader', site.view(PAGE))

    step(3, 'An editor saves a new text')
    before, seen = daemon.metrics(), len(purges_of(varnish, PAGE))
    began = time.time_ns()
    site.wiki.edit(TITLE, 'This is version 2.')
    saved = time.time_ns()
    positioned = None
    if options.deny_purge:
        wait_for(denied, 60, 'Varnish is known to deny purges')
    else:
        site.settle()
        [(positioned,)] = site.journal('SELECT max(updated_ns) FROM position')
        wait_for(lambda: len(purges_of(varnish, PAGE)) > seen, 10, 'the purge is in Varnish\'s log')
    show_life(site, before, began, saved, purges_of(varnish, PAGE)[seen:], positioned)
    show_purges(daemon, before, ['varnish'])
    if denied():
        print(f'   {"varnish":<15} denies every purge')

    step(4, 'Readers fetch it again')
    new = show('third reader', site.view(PAGE))
    show('fourth reader', site.view(PAGE))
    fresh = new != old and 'version' in new
    return fresh, {'the wiki, through Varnish': f'http://{site.wiki.host}{PAGE}',
                   'its editor': f'{USER}, password {PASSWORD}',
                   'metrics, readiness': f'http://{daemon.admin}/metrics, /readyz',
                   'the journal': f'sqlite3 -readonly {daemon.folder}/state/journal.db'
                                  " 'SELECT * FROM events'",
                   'the configuration': daemon.config,
                   'Varnish\'s log': f'varnishlog -n {varnish.folder}/state -g request'}


def stay(places):
    print('\nEverything goes on running until Ctrl-C is pressed here:')
    for what, where in places.items():
        print(f'   {what:<26} {where}')
    sys.stdout.flush()
    while True:  # the signal's handler ends all servers and this
        time.sleep(3600)


def main():
    parser = argparse.ArgumentParser(prog='./dev demo', description=__doc__.split('\n')[0])
    parser.add_argument('--keep', action='store_true',
                        help='leave everything running and print where to look')
    parser.add_argument('--deny-purge', action='store_true',
                        help='let Varnish refuse every PURGE: the page stays old, exit status 1')
    parser.add_argument('--kafka', action='store_true',
                        help='one event in Kafka, and Traffic Server behind Varnish')
    parser.add_argument('--origin', action='store_true',
                        help='a small origin in the place of MediaWiki')
    options = parser.parse_args()
    try:
        binary()  # says so at once when there is none
        fresh, places = (demo_kafka.run(options.deny_purge) if options.kafka
                         else run_wiki(options))
        print('The page is fresh.' if fresh else 'THE PAGE IS NOT FRESH.', flush=True)
        if options.keep:
            stay(places)
    except (ServerFailed, OSError) as error:
        print(f'demo: {error}', file=sys.stderr)
        for server in process.live_servers():
            print(f'--- {server.name}:\n{server.tail(20)}', file=sys.stderr)
        fresh = False
    process.cleanup_all()
    sys.exit(0 if fresh else 1)


if __name__ == '__main__':
    main()
