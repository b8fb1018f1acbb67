"""A wiki as docs/mediawiki.md sets it up: its blocks and the files it names, on other ports."""

import grp
import os
import pwd
import re
import socket
import sqlite3
from pathlib import Path

from . import http_client
from .htcp import clr_packet
from .mediawiki import HOST, MediaWiki
from .process import free_port, start_all, wait_for
from .purgeline import Purgeline
from .varnish import Varnish

ROOT = Path(__file__).parents[3]
PAGE = ROOT / 'docs/mediawiki.md'
RELAYER = ROOT / 'packaging/mediawiki/PurgelineEventRelayer.php'
EXAMPLE = ROOT / 'conf/purgeline-small-wiki.yaml'


def block(heading, language):
    """The one code block in that language below that heading of docs/mediawiki.md; '' is none."""
    sections = re.split(r'^##+ (.*)\n', PAGE.read_text(), flags=re.M)
    text = dict(zip(sections[1::2], sections[2::2]))[heading]
    found = [code for said, code in re.findall(r'^```(\w*)\n(.*?)^```$', text, flags=re.M | re.S)
             if said == language]
    assert len(found) == 1, f'{len(found)} blocks in {language} below {heading!r}'
    return found[0]


def put(text, places):
    """`text` with each place of the page replaced by one of this run; every place must be there."""
    for place, own in places.items():
        assert place in text, f'{place!r} is not in {text!r}'
        text = text.replace(place, own)
    return text


class SmallWiki:
    """MediaWiki, Varnish and Purgeline, `way` being how MediaWiki hands over its purges.

    `browsable`: the wiki's host is Varnish's address instead of a name. `stand_in` makes what
    serves pages instead of MediaWiki. `vcl_first` runs before everything else in Varnish. `fence`:
    with the default fence instead of none.
    """

    def __init__(self, way, settings='', browsable=False, stand_in=None, vcl_first='', fence=False):
        self.way = way
        self.barriers = 0
        self.http, self.htcp = free_port(), free_port()
        places = {
            'Event relayer': {'127.0.0.1:8192': f'127.0.0.1:{self.http}',
                              '/usr/share/purgeline/PurgelineEventRelayer.php': str(RELAYER)},
            'PURGE': {'127.0.0.1:8192': f'127.0.0.1:{self.http}'},
            'HTCP': {'4827': str(self.htcp)},
        }[way]
        self.wiki = stand_in() if stand_in else MediaWiki()
        self.varnish = Varnish(self.wiki.address, vcl=put(block('Varnish', 'vcl'), {
            'vcl 4.1;\n': f'vcl 4.1;\n{vcl_first}',
            '/etc/varnish/purge.vcl': str(ROOT / 'conf/purge.vcl'),
            '.port = "8080"': f'.port = "{self.wiki.port}"'}))
        # Whose group it is cannot be shown where there is no such user.
        own = f'user={pwd.getpwuid(os.getuid()).pw_name},group={grp.getgrgid(os.getgid()).gr_name}'
        self.varnish.listen_for_purges(put(block('Varnish', ''), {
            '/run/varnish/purge.sock': self.varnish.unix_address.removeprefix('unix:'),
            'user=varnish,group=purgeline': own}).split())
        # With fences a restart purges again what came shortly before it.
        off = {} if fence else {'\npurge:\n': '\npurge:\n  fence: off\n'}
        self.purgeline = Purgeline.from_example(EXAMPLE, {
            '127.0.0.1:8192': f'127.0.0.1:{self.http}',
            '127.0.0.1:4827': f'127.0.0.1:{self.htcp}',
            'unix:/run/varnish/purge.sock': self.varnish.unix_address,
            'allow: [wiki.example.org]': f'allow: [{HOST}, 127.0.0.1]', **off})
        if browsable:
            settings += f"\n$wgServer = 'http://{self.varnish.address}';\n"
            self.wiki.host = self.varnish.address
        self.wiki.set_settings('\n'.join((block('MediaWiki', 'php'), put(block(way, 'php'), places),
                                          settings)))

    def servers(self):
        own = (self.wiki,) if isinstance(self.wiki, MediaWiki) else ()
        return *own, self.varnish, self.purgeline

    def start(self):
        start_all(*self.servers())
        return self

    def view(self, target):
        """What a reader gets, who has no account and comes through Varnish."""
        return http_client.request(self.varnish.address, 'GET', target, self.wiki.host, timeout=60)

    def journal(self, query):
        """Rows of the journal, as docs/journal.md lets people look into it."""
        path = self.purgeline.folder / 'state/journal.db'
        database = sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=10)
        try:
            return database.execute(query).fetchall()
        finally:
            database.close()

    def settle(self):
        """Until all that MediaWiki handed over so far is purged."""
        if self.way == 'HTCP':
            self._barrier()
        finished = """SELECT count(*) FROM topic LEFT JOIN position ON topic = name
                      WHERE next > coalesce("offset", 0)"""
        wait_for(lambda: self.journal(finished) == [(0,)], 60, 'everything handed over is purged')

    def _barrier(self):
        """A packet of our own: when it is in the journal, those that were sent before it are."""
        self.barriers += 1
        url = f'http://{HOST}/barrier-{self.barriers}'
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(clr_packet(url), ('127.0.0.1', self.htcp))
        wait_for(lambda: self.journal(f"SELECT 1 FROM events WHERE instr(value, '{url}\"')"), 30,
                 'the packet is in the journal')
