"""TestCase with two caches before one origin, Traffic Server and Varnish as a rule."""

from .kafka import Kafka
from .origin import Origin
from .process import start_all, wait_for
from .testcase import ServerTestCase
from .traffic_server import TrafficServer
from .varnish import Varnish


class RealCachesTestCase(ServerTestCase):
    """The origin, the caches and the broker are shared by the tests of a class; each test has a
    topic and pages of its own.
    """

    HOST = 'en.example.org'
    WITH_KAFKA = True
    BACKEND = TrafficServer

    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.cleanup)
        cls.backend = cls.BACKEND(cls.origin.address)
        cls.frontend = Varnish(cls.backend.address)
        servers = [cls.backend, cls.frontend]
        if cls.WITH_KAFKA:
            cls.kafka = Kafka()
            servers.append(cls.kafka)
        cls.keep(*servers)
        start_all(*servers)

    def setUp(self):
        super().setUp()
        if self.WITH_KAFKA:
            self.topic = f'purge-{self._testMethodName}'
            self.kafka.create_topic(self.topic)

    def fill(self, pages):
        """Caches the pages in both layers."""
        for page in pages:
            self.frontend.get(self.HOST, page)
        for page in pages:
            wait_for(lambda page=page: self.backend.cached(self.HOST, page), 10,
                     f'{page} is stored')

    def assert_fresh(self, pages, version):
        for page in pages:
            for cache in (self.frontend, self.backend):
                self.assertIn(f'version {version}', cache.get(self.HOST, page).body,
                              f'{page} in {cache.name}')
