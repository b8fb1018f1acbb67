"""Real servers for tests: Kafka, MediaWiki, Traffic Server, Varnish, an origin, and the daemon."""

from . import http_client
from .cache_logs import flush_traffic_server_logs, traffic_server_log, varnish_log
from .certificates import Certificates
from .htcp import clr_packet
from .kafka import Kafka, NoBroker, purge_event
from .lying_proxy import LyingProxy
from .mediawiki import MediaWiki
from .origin import Origin, PurgeSink, purged_early
from .process import ServerFailed, free_port, start_all, wait_for
from .purgeline import OnSmallDisk, Purgeline, run_cli
from .real_caches import RealCachesTestCase
from .slow_origin import SlowOrigin, SlowProxy
from .testcase import ServerTestCase, main
from .threaded_server import ThreadedServer
from .traffic_server import TrafficServer
from .varnish import Varnish

__all__ = ['Certificates', 'Kafka', 'LyingProxy', 'MediaWiki', 'NoBroker', 'OnSmallDisk',
           'Origin', 'PurgeSink', 'Purgeline', 'RealCachesTestCase', 'ServerFailed',
           'ServerTestCase', 'SlowOrigin', 'SlowProxy', 'ThreadedServer', 'TrafficServer',
           'Varnish', 'clr_packet', 'flush_traffic_server_logs', 'free_port', 'http_client', 'main',
           'purge_event', 'purged_early', 'run_cli', 'start_all', 'traffic_server_log',
           'varnish_log', 'wait_for']
