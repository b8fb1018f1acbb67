"""A broker that wants TLS and a password: events arrive, and what is wrong is named.

One broker with a listener SASL_SSL; a recording sink stands in for the cache.
"""

import json

from harness import (Certificates, Kafka, PurgeSink, Purgeline, ServerTestCase, http_client, main,
                     purge_event, run_cli, wait_for)

HOST = 'en.example.org'


class TestSecureLog(ServerTestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = Certificates()
        cls.addClassCleanup(cls.certificates.cleanup)
        cls.kafka = Kafka(cls.certificates).start()
        cls.keep(cls.kafka)

    def setUp(self):
        super().setUp()
        self.topic = f'purge-{self._testMethodName}'
        self.kafka.create_topic(self.topic)
        self.sink = PurgeSink()
        self.addCleanup(self.sink.cleanup)
        self.password = self.certificates.folder / f'{self.topic}.password'
        self.trusted = self.certificates.folder / f'{self.topic}.pem'
        self.write_password(self.certificates.PASSWORD)
        self.trust(self.certificates.authority)
        self.daemon = Purgeline(self.kafka, [self.topic], [('cache', [self.sink.address])],
                                {'log': {'kafka': {'brokers': [self.kafka.secure_address],
                                                   'properties': self.properties()}}})

    def properties(self):
        return {'security.protocol': 'sasl_ssl', 'ssl.ca.location': str(self.trusted),
                'sasl.mechanism': 'PLAIN', 'sasl.username': self.certificates.USER,
                'sasl.password': {'file': str(self.password)}}

    def write_password(self, password):
        self.password.write_text(password + '\n')

    def trust(self, authority):
        self.trusted.write_text(authority.read_text())

    def publish(self, *pages):
        """By the listener without TLS: the tests' own tools need no secrets."""
        self.kafka.produce(self.topic, [purge_event(f'https://{HOST}{page}') for page in pages])

    def wait_purged(self, *pages):
        wait_for(lambda: set(pages) <= {target for _, target in self.sink.urls(HOST)}, 30,
                 f'{pages} are purged')

    def log_check(self):
        """The row `log` of /readyz."""
        checks = json.loads(self.daemon.readiness().body)['checks']
        return next((check for check in checks if check['name'] == 'log'), {'ok': True})

    def wait_cause(self, *words):
        """Until /readyz says that the log cannot be reached, and why; the log says it too."""
        def named():
            check = self.log_check()
            return not check['ok'] and all(word in check['detail'] for word in words)
        wait_for(named, 60, f'/readyz names {words}')
        unreachable = [line for line in self.daemon.log.read_text().splitlines()
                       if 'event="log unreachable"' in line]
        self.assertTrue(any(all(word in line for word in words) for line in unreachable))
        self.assertEqual(self.daemon.readiness().status, 503)
        self.assertTrue(self.daemon.running())

    def assert_names_the_cause(self, *words):
        """Refused from the start: the daemon runs on, reads nothing and commits nothing."""
        self.daemon.launch()
        wait_for(lambda: http_client.answers(self.daemon.admin), 20, 'the daemon runs')
        self.wait_cause(*words)
        self.assertEqual(self.kafka.committed(self.daemon.group, self.topic), -1)
        self.assertEqual(len(self.sink.urls(HOST)), 0)

    def assert_recovers(self, *pages):
        """With the right settings everything that was published meanwhile is purged."""
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.start()
        self.wait_purged(*pages)
        self.daemon.wait_committed(self.kafka, self.topic)

    def test_events_arrive_by_tls_with_a_password_from_a_file(self):
        self.publish('/first')
        self.daemon.start()
        self.publish('/second')
        self.wait_purged('/first', '/second')
        self.daemon.wait_committed(self.kafka, self.topic)
        shown = run_cli('config', 'show', '-c', self.daemon.config)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(f'{{file: {self.password}}}', shown.stdout)
        self.assertNotIn(self.certificates.PASSWORD, shown.stdout + self.daemon.log.read_text())

    def test_a_wrong_password_is_named_and_nothing_is_lost(self):
        self.write_password('wrong-horse')
        self.publish('/page')
        self.assert_names_the_cause('Authentication failed', self.kafka.secure_address)
        self.assertNotIn('wrong-horse', self.daemon.log.read_text())
        self.write_password(self.certificates.PASSWORD)
        self.assert_recovers('/page')

    def test_an_authority_that_did_not_sign_is_named_and_nothing_is_lost(self):
        self.trust(self.certificates.stranger)
        self.publish('/page')
        self.assert_names_the_cause('certificate verify failed', self.kafka.secure_address)
        self.trust(self.certificates.authority)
        self.assert_recovers('/page')

    def test_a_broker_that_refuses_for_a_while_is_read_again_without_a_restart(self):
        self.publish('/first')
        self.daemon.start()
        self.wait_purged('/first')
        self.kafka.stop()
        self.addCleanup(self.restore_broker)
        self.kafka.write_properties(password='another-horse')
        self.kafka.start()
        self.publish('/second')
        self.wait_cause('Authentication failed')
        self.kafka.stop()
        self.restore_broker()
        self.wait_purged('/second')
        self.daemon.wait_committed(self.kafka, self.topic)

    def restore_broker(self):
        self.kafka.write_properties()
        if not self.kafka.running():
            self.kafka.start()


if __name__ == '__main__':
    main()
