"""A Varnish as frontend: caches what it is asked for, PURGE from loopback answers 204."""

import functools
import re
import subprocess

from . import http_client
from .process import Server, free_port

VCL = '''
vcl 4.1;

backend default {{
  .host = "{host}";
  .port = "{port}";
}}

acl purgers {{
  "127.0.0.1";
}}

sub vcl_recv {{
  if (req.method == "PURGE") {{
    # The socket's own access rights say who may connect to it.
    if (local.endpoint !~ "^/" && client.ip !~ purgers) {{
      return (synth(405, "Method not allowed"));
    }}
    {deny}
    return (purge);
  }}
  return (hash);
}}

sub vcl_miss {{
  if (req.http.Cache-Control == "only-if-cached") {{
    return (synth(504, "Not cached"));
  }}
}}

sub vcl_purge {{
  return (synth(204, "Purged"));
}}

sub vcl_backend_response {{
  set beresp.grace = 0s;
}}

sub vcl_deliver {{
  if (obj.hits > 0) {{
    set resp.http.X-Cache-Frontend = "hit";
  }} else {{
    set resp.http.X-Cache-Frontend = "miss";
  }}
}}
'''


class Varnish(Server):
    """`backend` is the host:port that it fetches from; `vcl` a whole VCL to run instead of the own,
    `more` what comes behind that, `parameters` what varnishd is told with -p.

    Its socket for purges has the name that conf/purge.vcl looks for.
    """

    name = 'varnish'

    def __init__(self, backend, vcl=None, more='', parameters=()):
        super().__init__()
        self._parameters = [word for parameter in parameters for word in ('-p', parameter)]
        self.backend = backend
        self.port = free_port()
        self.address = f'127.0.0.1:{self.port}'
        self.unix_address = f'unix:{self.folder}/purge.sock'
        self.listen_for_purges(['-a', f'purge={self.folder}/purge.sock,mode=0666'])
        self._reloads = 0
        self._vcl, self._more = vcl, more
        self._write_vcl(deny=False)

    def listen_for_purges(self, arguments):
        """What varnishd is told of the socket for purges, from its next start on."""
        self._purge_listener = arguments

    def command(self):
        # No jail: changing users would clear the signal that ends it with this process.
        return ['varnishd', '-j', 'none', '-F',
                '-n', self.folder / 'state', '-f', self.folder / 'vcl',
                '-a', f'tcp={self.address}', *self._purge_listener,
                '-s', 'malloc,64m', '-p', 'thread_pool_min=10', '-p', 'thread_pools=1',
                '-p', 'default_ttl=3600', *self._parameters]

    def launch(self):
        # After a kill the socket file of the last run is in the way.
        (self.folder / 'purge.sock').unlink(missing_ok=True)
        return super().launch()

    def ready(self):
        return http_client.answers(self.address) and http_client.answers(self.unix_address)

    @staticmethod
    @functools.lru_cache
    def version():
        said = subprocess.run(['varnishd', '-V'], capture_output=True, text=True, check=True)
        return re.search(r'varnish-([\d.]+)', said.stderr + said.stdout).group(1)

    def get(self, host, target):
        return http_client.request(self.address, 'GET', target, host)

    def cached(self, host, target):
        """Whether it holds the page, without fetching it."""
        return http_client.request(self.address, 'GET', target, host,
                                   {'Cache-Control': 'only-if-cached'}).status == 200

    def purge(self, host, target, unix=False):
        address = self.unix_address if unix else self.address
        return http_client.request(address, 'PURGE', target, host)

    def deny_purge(self, denied):
        """Refuses every PURGE with 405, or allows it again, without a restart."""
        self._write_vcl(denied)
        if self.running():
            self._reloads += 1
            self.admin('vcl.load', f'reload{self._reloads}', str(self.folder / 'vcl'))
            self.admin('vcl.use', f'reload{self._reloads}')

    def hide_socket(self, hidden):
        """Nobody new gets to the socket for purges, or they do again."""
        here, away = self.folder / 'purge.sock', self.folder / 'purge.away'
        if hidden:
            here.rename(away)
        elif away.exists():
            away.rename(here)

    def admin(self, *command):
        done = subprocess.run(['varnishadm', '-n', str(self.folder / 'state'), *command],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
        if done.returncode != 0:
            raise AssertionError(f'varnishadm {command}: {done.stdout}{done.stderr}')
        return done.stdout

    def _write_vcl(self, deny):
        if self._vcl is not None:
            assert not deny, 'this VCL has no place for a refusal'
            (self.folder / 'vcl').write_text(self._vcl)
            return
        host, port = self.backend.rsplit(':', 1)
        refusal = 'return (synth(405, "Method not allowed"));' if deny else ''
        own = VCL.format(host=host, port=port, deny=refusal)
        (self.folder / 'vcl').write_text(own + self._more)
