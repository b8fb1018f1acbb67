"""A MediaWiki as it is packaged, with a database and settings of its own, and a client for it.

The package's program files are used where they are. What a wiki writes (settings, SQLite files,
uploads, its lock and cache files) is in the server's folder; PHP's built-in server serves it.
"""

import functools
import http.client
import json
import os
import re
import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlencode

from . import http_client
from .process import Server, ServerFailed, free_port

HOME = Path('/usr/share/mediawiki')
HOST = 'wiki.example.org'
USER, PASSWORD = 'Admin', 'correct-horse-battery'

# What a web server's configuration does: short addresses for pages, and the folder of uploads.
ROUTER = '''<?php
$path = parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH );
if ( str_starts_with( $path, '/images/' ) ) {
    $file = realpath( getenv( 'WIKI_FOLDER' ) . rawurldecode( $path ) );
    if ( $file === false || !str_starts_with( $file, getenv( 'WIKI_FOLDER' ) . '/images/' ) ) {
        http_response_code( 404 );
        return true;
    }
    header( 'Content-Type: ' . mime_content_type( $file ) );
    readfile( $file );
    return true;
}
if ( $path === '/' || str_starts_with( $path, '/wiki/' ) ) {
    $_SERVER['SCRIPT_NAME'] = '/index.php';
    require getenv( 'MW_INSTALL_PATH' ) . '/index.php';
    return true;
}
return false;
'''

# Each setting is here because of the place it runs in: no mail, no waiting, nothing in /tmp.
SETTINGS = '''
$wgArticlePath = '/wiki/$1';
$wgEnableUploads = true;
$wgUploadDirectory = '{folder}/images';
$wgTmpDirectory = '{folder}/tmp';
$wgCacheDirectory = '{folder}/cache';
$wgEnableEmail = false;
// Jobs run when run_jobs() says so.
$wgJobRunRate = 0;
// A change within the second in which a page was rendered would be rendered from this cache.
$wgParserCacheType = CACHE_NONE;
$wgShowExceptionDetails = true;
$wgDBerrorLog = false;
'''


class WikiError(Exception):
    """The wiki answered, and refused."""


class MediaWiki(Server):
    """`settings` is PHP that comes last in LocalSettings.php; set_settings() changes it."""

    name = 'mediawiki'

    def __init__(self, settings=''):
        super().__init__()
        self.host = HOST
        self.port = free_port()
        self.address = f'127.0.0.1:{self.port}'
        for folder in ('images', 'tmp', 'cache'):
            (self.folder / folder).mkdir()
        (self.folder / 'router.php').write_text(ROUTER)
        self._settings = self.folder / 'LocalSettings.php'
        self._install()
        self._installed = self._settings.read_text() + SETTINGS.format(folder=self.folder)
        self.set_settings(settings)
        self._cookies = {}
        self._token = None

    @staticmethod
    def available():
        return (HOME / 'maintenance/install.php').exists()

    def _install(self):
        self._php('maintenance/install.php', f'--confpath={self.folder}', '--dbtype=sqlite',
                  f'--dbpath={self.folder}/data', '--dbname=wiki', f'--server=http://{HOST}',
                  '--scriptpath=', '--lang=en', '--skins=Vector', f'--pass={PASSWORD}',
                  'A wiki', USER, settings=False)

    def set_settings(self, settings):
        """Takes effect with the next request."""
        # Replaced whole: a worker never reads half of it.
        new = self.folder / 'LocalSettings.new'
        new.write_text(f'{self._installed}\n{settings}\n')
        new.rename(self._settings)

    def _php(self, script, *arguments, settings=True):
        environment = self.environment()
        if not settings:
            del environment['MW_CONFIG_FILE']
        done = subprocess.run(['php', HOME / script, *map(str, arguments)], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise ServerFailed(f'{script}: {done.stdout[-2000:]}{done.stderr[-2000:]}')
        return done.stdout

    # The server.

    def command(self):
        # Code that changes is not looked for again; each worker serves one request at a time.
        return ['php', '-d', 'opcache.enable_cli=1', '-d', 'opcache.validate_timestamps=0',
                '-d', f'opcache.blacklist_filename={self._blacklist()}',
                '-S', self.address, '-t', HOME, self.folder / 'router.php']

    def _blacklist(self):
        """The settings are the one file that changes."""
        path = self.folder / 'not-cached'
        path.write_text(f'{self._settings}\n')
        return path

    def environment(self):
        return dict(os.environ, MW_INSTALL_PATH=str(HOME), MW_CONFIG_FILE=str(self._settings),
                    WIKI_FOLDER=str(self.folder), PHP_CLI_SERVER_WORKERS='4')

    def ready(self):
        try:
            return self.get('/wiki/Main_Page').status == 200
        except OSError:
            return False

    @staticmethod
    @functools.lru_cache
    def version():
        said = subprocess.run(['dpkg-query', '-W', '-f', '${Version}', 'mediawiki'],
                              capture_output=True, text=True, check=True).stdout
        return re.sub(r'^\d+:|[-+].*$', '', said)

    # Readers and editors; both come straight, not through a cache.

    def get(self, target):
        return http_client.request(self.address, 'GET', target, self.host, timeout=60)

    def edit(self, title, text):
        """Saves the page as a user who has logged in."""
        return self._write(action='edit', title=title, text=text)['edit']

    def move(self, title, to):
        return self._write(**{'action': 'move', 'from': title, 'to': to})['move']

    def delete(self, title):
        return self._write(action='delete', title=title)['delete']

    def upload(self, name, content):
        """Also a new version of a file that is there."""
        return self._write(action='upload', filename=name, ignorewarnings='1',
                           files={'file': (name, content)})['upload']

    def run_jobs(self):
        return self._php('maintenance/runJobs.php')

    def _write(self, files=None, **parameters):
        if self._token is None:
            self._log_in()
        return self._api(files, token=self._token, **parameters)

    def _log_in(self):
        def token(kind):
            answer = self._api(action='query', meta='tokens', type=kind)
            return answer['query']['tokens'][f'{kind}token']
        done = self._api(action='clientlogin', username=USER, password=PASSWORD,
                         logintoken=token('login'), loginreturnurl=f'http://{self.host}/')
        if done['clientlogin']['status'] != 'PASS':
            raise WikiError(f'the wiki did not let {USER} in: {done}')
        self._token = token('csrf')

    def _api(self, files=None, **parameters):
        parameters['format'] = 'json'
        headers = {'Host': self.host, 'Cookie': '; '.join(
            f'{name}={value}' for name, value in self._cookies.items())}
        if files:
            body, headers['Content-Type'] = multipart(parameters, files)
        else:
            body = urlencode(parameters)
            headers['Content-Type'] = 'application/x-www-form-urlencoded'
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=120)
        try:
            connection.request('POST', '/api.php', body=body, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            for cookie in answer.headers.get_all('Set-Cookie') or []:
                name, value = cookie.split(';')[0].split('=', 1)
                self._cookies[name] = value
        finally:
            connection.close()
        try:
            said = json.loads(text)
        except ValueError:
            raise WikiError(f'{answer.status} {text[:2000]}') from None
        if 'error' in said:
            raise WikiError(f'{parameters["action"]}: {said["error"]["info"]}')
        return said


def multipart(fields, files):
    """A form with files: (body, Content-Type)."""
    boundary = uuid.uuid4().hex
    body = b''
    for name, value in fields.items():
        body += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
                 f'{value}\r\n').encode()
    for name, (file, content) in files.items():
        body += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
                 f'filename="{file}"\r\nContent-Type: application/octet-stream\r\n\r\n').encode()
        body += content + b'\r\n'
    return body + f'--{boundary}--\r\n'.encode(), f'multipart/form-data; boundary={boundary}'
