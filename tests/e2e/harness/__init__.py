"""Real servers for tests: Kafka, MediaWiki, Traffic Server, Varnish, an origin, and the daemon."""

from . import http_client
from .certificates import Certificates
from .kafka import Kafka, purge_event
from .lying_proxy import LyingProxy
from .mediawiki import MediaWiki
from .origin import Origin, PurgeSink
from .process import ServerFailed, free_port, start_all, wait_for
from .purgeline import OnSmallDisk, Purgeline, run_cli
from .testcase import ServerTestCase, main
from .traffic_server import TrafficServer
from .varnish import Varnish

__all__ = ['Certificates', 'Kafka', 'LyingProxy', 'MediaWiki', 'OnSmallDisk', 'Origin',
           'PurgeSink', 'Purgeline', 'ServerFailed', 'ServerTestCase', 'TrafficServer', 'Varnish',
           'free_port', 'http_client', 'main', 'purge_event', 'run_cli', 'start_all', 'wait_for']
