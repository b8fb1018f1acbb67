#!/usr/bin/env python3
"""Runs a program beside a Traffic Server and a Varnish, with nothing behind them.

    bench/caches.py PROGRAM [ARGUMENT ...]

An argument TRAFFIC_SERVER or VARNISH becomes two: the cache's HOST:PORT and the process that does
its work. PURGE is answered with 404 by the one and with 204 by the other. The program's exit status
is passed on.
"""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'e2e'))

from harness.traffic_server import TrafficServer  # noqa: E402
from harness.varnish import Varnish  # noqa: E402

NOWHERE = '127.0.0.1:9'
VCL = (pathlib.Path(__file__).resolve().parent / 'cache.vcl').read_text()


class PatientVarnish(Varnish):
    """Keeps the connections that wait while it is another side's turn."""

    def command(self):
        return [*super().command(), '-p', 'timeout_idle=600', '-p', 'thread_pool_min=20']


def worker(parent):
    """The child of varnishd that serves."""
    said = subprocess.run(['ps', '-o', 'pid=,comm=', '--ppid', str(parent)], capture_output=True,
                          text=True, check=True).stdout
    return next(line.split()[0] for line in said.splitlines() if line.endswith('cache-main'))


def main():
    traffic_server = TrafficServer(NOWHERE)
    varnish = PatientVarnish(NOWHERE, VCL)
    try:
        traffic_server.start()
        varnish.start()
        words = {'TRAFFIC_SERVER': [traffic_server.address, str(traffic_server.process.pid)],
                 'VARNISH': [varnish.address, worker(varnish.process.pid)]}
        command = [part for argument in sys.argv[1:] for part in words.get(argument, [argument])]
        return subprocess.run(command, check=False).returncode
    finally:
        for server in (traffic_server, varnish):
            server.cleanup()


if __name__ == '__main__':
    sys.exit(main())
