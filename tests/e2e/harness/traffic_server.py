"""A Traffic Server as backend, in a run root of its own: /etc and /var stay untouched."""

import functools
import re
import subprocess

from . import cache_logs, http_client
from .process import Server, free_port, wait_for

# Where the package keeps what a run root cannot do without: programs, plug-ins and error pages.
RUN_ROOT = '''\
prefix: {folder}
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/bin
libdir: /usr/lib/trafficserver
libexecdir: /usr/lib/trafficserver/modules
includedir: /usr/include
sysconfdir: {folder}/etc
datadir: {folder}/cache
localstatedir: {folder}/var
runtimedir: {folder}/run
logdir: {folder}/log.d
mandir: /usr/share/man
infodir: /usr/share/info
cachedir: {folder}/cache
'''

RECORDS = '''\
CONFIG proxy.config.http.server_ports STRING {port}:ip-in=127.0.0.1
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 2
CONFIG proxy.config.accept_threads INT 1
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.cache.threads_per_disk INT 2
CONFIG proxy.config.http.wait_for_cache INT 2
CONFIG proxy.config.http.cache.http INT 1
CONFIG proxy.config.http.cache.required_headers INT 2
CONFIG proxy.config.http.cache.max_open_read_retries INT -1
CONFIG proxy.config.cache.enable_read_while_writer INT {read_while_writer}
CONFIG proxy.config.cache.ram_cache.size INT 16M
CONFIG proxy.config.cache.min_average_object_size INT 8000
CONFIG proxy.config.http.down_server.cache_time INT 0
CONFIG proxy.config.http.insert_age_in_response INT 1
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.reverse_proxy.enabled INT 1
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.diags.output.status STRING E
CONFIG proxy.config.diags.output.warning STRING E
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.restart.active_client_threshold INT 0
'''

IP_ALLOW = '''\
ip_allow:
  - apply: in
    ip_addrs: 127.0.0.1
    action: allow
    methods: ALL
  - apply: in
    ip_addrs: 0/0
    action: deny
    methods: ALL
'''


class TrafficServer(Server):
    """`origin` is the host:port that it fetches from, whatever host a client asks for. With `log`
    it writes one for cache_logs. `more` are lines of records.config.
    """

    name = 'trafficserver'

    def __init__(self, origin, read_while_writer=False, log=False, more=''):
        super().__init__()
        self.marks = 0  # of cache_logs
        self.port = free_port()
        self.address = f'127.0.0.1:{self.port}'
        for folder in ('etc', 'cache', 'var', 'run', 'log.d'):
            (self.folder / folder).mkdir()
        etc = self.folder / 'etc'
        (self.folder / 'runroot.yaml').write_text(RUN_ROOT.format(folder=self.folder))
        records = RECORDS.format(port=self.port, read_while_writer=int(read_while_writer))
        if log:
            records += cache_logs.TRAFFIC_SERVER_RECORDS
            (etc / 'logging.yaml').write_text(cache_logs.TRAFFIC_SERVER_LOGGING)
        (etc / 'records.config').write_text(records + more)
        (etc / 'ip_allow.yaml').write_text(IP_ALLOW)
        (etc / 'remap.config').write_text(f'map / http://{origin}/\n')
        (etc / 'storage.config').write_text(f'{self.folder}/cache 64M\n')
        (etc / 'plugin.config').write_text('xdebug.so\n')

    def command(self):
        return ['traffic_server', f'--run-root={self.folder}/runroot.yaml']

    def ready(self):
        # 504 says that the cache is open and looked into, and asks nothing of the origin.
        try:
            answer = http_client.request(self.address, 'GET', '/', 'ready.invalid',
                                         {'Cache-Control': 'only-if-cached'}, timeout=2)
        except OSError:
            return False
        return answer.status == 504

    @staticmethod
    @functools.lru_cache
    def version():
        said = subprocess.run(['traffic_server', '--version'], capture_output=True, text=True)
        return re.search(r'Traffic Server ([\d.]+)', said.stdout + said.stderr).group(1)

    def get(self, host, target):
        """The answer's header x-cache says hit-fresh or miss."""
        return http_client.request(self.address, 'GET', target, host, {'X-Debug': 'X-Cache'})

    def cached(self, host, target):
        """Whether it holds the page, without fetching it."""
        return http_client.request(self.address, 'GET', target, host,
                                   {'Cache-Control': 'only-if-cached'}).status == 200

    def fill(self, host, target):
        """Fetches the page; returns the answer once it is stored, which takes a moment more."""
        answer = self.get(host, target)
        wait_for(lambda: self.cached(host, target), 10, f'{host}{target} is stored')
        return answer

    def purge(self, host, target):
        return http_client.request(self.address, 'PURGE', target, host)
