"""A wiki as docs/mediawiki.md sets it up: its blocks and the files it names, on ports of this run."""

import re
from pathlib import Path

from . import http_client
from .mediawiki import HOST, MediaWiki
from .process import free_port, start_all
from .purgeline import Purgeline
from .varnish import Varnish

ROOT = Path(__file__).parents[3]
PAGE = ROOT / 'docs/mediawiki.md'
RELAYER = ROOT / 'packaging/mediawiki/PurgelineEventRelayer.php'
EXAMPLE = ROOT / 'conf/purgeline-small-wiki.yaml'
WAYS = ('Event relayer', 'PURGE', 'HTCP')


def block(heading, language):
    """The one code block in that language below that heading of docs/mediawiki.md."""
    sections = re.split(r'^#+ (.*)\n', PAGE.read_text(), flags=re.M)
    text = dict(zip(sections[1::2], sections[2::2]))[heading]
    found = re.findall(rf'^```{language}\n(.*?)^```$', text, flags=re.M | re.S)
    assert len(found) == 1, f'{len(found)} blocks in {language} below {heading!r}'
    return found[0]


def put(text, places):
    """`text` with each place of the page replaced by one of this run; every place must be there."""
    for place, own in places.items():
        assert place in text, f'{place!r} is not in {text!r}'
        text = text.replace(place, own)
    return text


class SmallWiki:
    """MediaWiki, Varnish and Purgeline, `way` being how MediaWiki hands over its purges."""

    def __init__(self, way, settings=''):
        self.http, self.htcp = free_port(), free_port()
        places = {
            'Event relayer': {'127.0.0.1:8192': f'127.0.0.1:{self.http}',
                              '/usr/share/purgeline/PurgelineEventRelayer.php': str(RELAYER)},
            'PURGE': {'127.0.0.1:8192': f'127.0.0.1:{self.http}'},
            'HTCP': {'4827': str(self.htcp)},
        }[way]
        self.wiki = MediaWiki('\n'.join((block('MediaWiki', 'php'), put(block(way, 'php'), places),
                                         settings)))
        self.varnish = Varnish(self.wiki.address, vcl=put(block('Varnish', 'vcl'), {
            '/etc/varnish/purge.vcl': str(ROOT / 'conf/purge.vcl'),
            '.port = "8080"': f'.port = "{self.wiki.port}"'}))
        self.purgeline = Purgeline.from_example(EXAMPLE, {
            '127.0.0.1:8192': f'127.0.0.1:{self.http}',
            '127.0.0.1:4827': f'127.0.0.1:{self.htcp}',
            'unix:/run/varnish/purge.sock': self.varnish.unix_address})

    def servers(self):
        return self.wiki, self.varnish, self.purgeline

    def start(self):
        start_all(*self.servers())
        return self

    def view(self, target):
        """What a reader gets, who has no account and comes through Varnish."""
        return http_client.request(self.varnish.address, 'GET', target, HOST, timeout=60)
