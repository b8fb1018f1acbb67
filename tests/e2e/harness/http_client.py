"""A small HTTP/1.1 client over TCP or a Unix socket, with one connection per request."""

import http.client
import socket


class Answer:
    """Status, reason, headers by lower-case name, and body as text."""

    def __init__(self, response):
        self.status = response.status
        self.reason = response.reason
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read().decode('utf-8', 'replace')

    def __repr__(self):
        return f'{self.status} {self.reason} {self.headers} {self.body[:200]!r}'


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__('localhost', timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def request(address, method, target, host=None, headers=None, timeout=10):
    """`address` is host:port or unix:/path, as in Purgeline's configuration."""
    if address.startswith('unix:'):
        connection = _UnixConnection(address[len('unix:'):], timeout)
    else:
        name, port = address.rsplit(':', 1)
        connection = http.client.HTTPConnection(name, int(port), timeout=timeout)
    try:
        fields = dict(headers or {})
        if host:
            fields['Host'] = host
        connection.request(method, target, headers=fields)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def answers(address):
    """Whether something accepts connections there."""
    try:
        if address.startswith('unix:'):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(address[len('unix:'):])
        else:
            name, port = address.rsplit(':', 1)
            socket.create_connection((name, int(port)), timeout=2).close()
        return True
    except OSError:
        return False
