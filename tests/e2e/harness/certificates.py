"""Certificates of a test run: an authority, a broker's certificate, and an authority of nobody."""

import shutil
import subprocess
import tempfile
from pathlib import Path


class Certificates:
    """Made by openssl at test time, valid for a day; cleanup() removes them."""

    USER = 'reader'
    PASSWORD = 'correct-horse'

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix='purgeline-certificates-'))
        self.authority = self._authority('authority')
        self.stranger = self._authority('stranger')
        key, request = self.folder / 'broker.key', self.folder / 'broker.csr'
        self._openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=127.0.0.1',
                      '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', request)
        signed = self.folder / 'broker.pem'
        self._openssl('x509', '-req', '-days', '1', '-in', request, '-CA', self.authority,
                      '-CAkey', self.folder / 'authority.key', '-set_serial', '2',
                      '-copy_extensions', 'copy', '-out', signed)
        # One file with key and chain, as the broker's PEM store wants it.
        self.server = self.folder / 'server.pem'
        self.server.write_text(key.read_text() + signed.read_text() + self.authority.read_text())

    def _authority(self, name):
        made = self.folder / f'{name}.pem'
        self._openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1',
                      '-subj', f'/CN=test {name}', '-keyout', self.folder / f'{name}.key',
                      '-out', made)
        return made

    @staticmethod
    def _openssl(*arguments):
        done = subprocess.run(['openssl', *map(str, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f'openssl {arguments}: {done.stderr}')

    def cleanup(self):
        shutil.rmtree(self.folder, ignore_errors=True)
