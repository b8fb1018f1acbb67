"""What the caches themselves say about the requests they served, to the millisecond."""

import subprocess
from collections import namedtuple

from .process import wait_for

# begun: when the request was read; ended: when its answer was written. Wall-clock seconds.
Logged = namedtuple('Logged', 'method page status begun ended')

_VARNISH_FORMAT = '%m %U %s %{VSL:Timestamp:Start[1]}x %{VSL:Timestamp:Resp[1]}x'


def varnish_log(varnish, page):
    """Everything of the page that is still in the log in shared memory, oldest first."""
    done = subprocess.run(
        ['varnishncsa', '-n', str(varnish.folder / 'state'), '-d', '-F', _VARNISH_FORMAT,
         '-q', f'ReqURL eq "{page}"'],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f'varnishncsa: {done.stderr}')
    lines = [line.split() for line in done.stdout.splitlines()]
    return [Logged(method, target, int(status), float(begun), float(ended))
            for method, target, status, begun, ended in lines]


# Milliseconds since the epoch, and how many of them it took. What is logged comes from a buffer
# that is written once a second.
TRAFFIC_SERVER_LOGGING = '''\
logging:
  formats:
    - name: times
      format: '%<cqhm> /%<cqup> %<pssc> %<cqtq> %<ttms>'
  logs:
    - filename: times
      format: times
      mode: ascii
'''
TRAFFIC_SERVER_RECORDS = '''\
CONFIG proxy.config.log.logging_enabled INT 2
CONFIG proxy.config.log.max_secs_per_buffer INT 1
CONFIG proxy.config.log.periodic_tasks_interval INT 1
'''


def traffic_server_log(server, page):
    """What is in the log of the page, oldest first; the server has to be one with log=True."""
    lines = [line.split() for line in _text(server).splitlines()]
    logged = [Logged(method, target, int(status), float(begun), float(begun) + int(took) / 1000)
              for method, target, status, begun, took in lines if target == page]
    return sorted(logged, key=lambda one: one.begun)


def flush_traffic_server_logs(servers):
    """Until everything that they have done is in their logs, as a last request shows."""
    for server in servers:
        server.marks += 1
        server.cached('mark.invalid', f'/mark/{server.marks}')
    for server in servers:
        wait_for(lambda server=server: f' /mark/{server.marks} ' in _text(server), 30,
                 'the log is written')


def _text(server):
    """Whole lines only: the last one may still be on its way."""
    file = server.folder / 'log.d' / 'times.log'
    text = file.read_text() if file.exists() else ''
    return text[:text.rfind('\n') + 1]
