"""The intakes' addresses and limits."""

import socket

from harness import http_client, main, run_cli, wait_for
from test_journal import JournalTestCase


class TestConfiguration(JournalTestCase):
    def test_an_address_that_is_taken_ends_the_start_with_1(self):
        daemon = self.daemon('127.0.0.1:1', '127.0.0.1:2')
        name, port = self.http.split(':')
        with socket.create_server((name, int(port))):
            done = run_cli('run', '-c', daemon.config)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(self.http, done.stderr)

    def test_who_holds_on_to_connections_is_shown_the_door(self):
        daemon = self.daemon('127.0.0.1:1', '127.0.0.1:2')
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace(
            '  http:\n', '  http: {connections: 2, idle_timeout: 1s, request_timeout: 1s, '
            f'listen: ["{self.http}"]}}\n', 1).replace(f'    listen: ["{self.http}"]\n', ''))
        daemon.launch()
        wait_for(lambda: http_client.answers(self.http), 20, 'it takes events')
        name, port = self.http.split(':')

        def connect(sends):
            connection = socket.create_connection((name, int(port)), timeout=20)
            self.addCleanup(connection.close)
            connection.sendall(sends)
            return connection
        slow = connect(b'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Len')
        silent = connect(b'')
        crowded = connect(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        self.assertIn(b' 200 ', crowded.recv(1 << 16))
        # It had to wait until one of the others was ended, which both are.
        self.assertTrue(ended(slow) or ended(silent))
        self.assertEqual((read_to_end(slow), read_to_end(silent)), (b'', b''))
        body = b'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 4194305\r\n\r\n'
        header = b'GET / HTTP/1.1\r\nX: ' + b'x' * 70000 + b'\r\n\r\n'
        for sent, status in ((body, b' 413 '), (header, b' 431 ')):
            self.assertIn(status, read_to_end(connect(sent)))

    def test_a_token_that_cannot_be_read_is_a_mistake_in_the_configuration(self):
        daemon = self.daemon('127.0.0.1:1', '127.0.0.1:2')
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace('  http:\n', '  http:\n    token_file: /nowhere\n'))
        done = run_cli('run', '-c', daemon.config)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn('/nowhere', done.stderr)


def read_to_end(connection):
    """What comes until the other side ends it."""
    said = b''
    try:
        while data := connection.recv(1 << 16):
            said += data
    except ConnectionResetError:
        pass
    return said


def ended(connection):
    """Whether the other side has ended it by now."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b''
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        connection.settimeout(20)


if __name__ == '__main__':
    main()
