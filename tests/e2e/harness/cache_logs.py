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
    """Everything of the page, of a server with log=True, once all that it did until now is in the
    log: a last request of the own shows that.
    """
    file = server.folder / 'log.d' / 'times.log'
    server.marks += 1
    mark = f'/mark/{server.marks}'
    server.cached('mark.invalid', mark)
    wait_for(lambda: file.exists() and f' {mark} ' in file.read_text(), 30,
             f'{mark} is in {file.name}')
    lines = [line.split() for line in file.read_text().splitlines()]
    logged = [Logged(method, target, int(status), float(begun), float(begun) + int(took) / 1000)
              for method, target, status, begun, took in lines if target == page]
    return sorted(logged, key=lambda one: one.begun)
