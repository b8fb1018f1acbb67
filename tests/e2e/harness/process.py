"""Servers as child processes: ports, folders, readiness, and nothing left running.

Every server runs in a process group and a temporary folder of its own, on loopback ports that no
other test holds. It dies with this process: by stop(), by cleanup at the end of a test (also of a
failed one), by atexit, on a signal, and, when this process is killed outright, by PDEATHSIG.
"""

import atexit
import ctypes
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PORTS = range(15000, 32000)  # below the kernel's own range, so that no connection takes one between
LOCKS = Path(tempfile.gettempdir()) / 'purgeline-test-ports'

_live = []      # servers that were made and not cleaned up yet
_used = set()   # (name, version) of servers that ran since the last take_used()
_port_locks = {}


class ServerFailed(Exception):
    """A server did not start, did not answer in time, or ended by itself."""


def wait_for(condition, timeout, what, pause=0.02):
    """Polls until `condition()` is true and returns its value; names `what` when it never is."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f'after {timeout:g} s still not: {what}')
        time.sleep(pause)


def free_port():
    """A loopback port for this process alone, as long as it lives: a restart finds it free.

    Several test programs run at once, so a port is held by a lock on a file of its number.
    """
    LOCKS.mkdir(mode=0o1777, exist_ok=True)
    for port in random.sample(PORTS, 500):
        lock = open(LOCKS / str(port), 'w')
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(('127.0.0.1', port))
        except OSError:
            lock.close()
            continue
        _port_locks[port] = lock
        return port
    raise ServerFailed('no free loopback port found')


def take_used():
    """The servers that ran since the last call, and those still running."""
    used = set(_used)
    _used.clear()
    for server in _live:
        if server.running():
            used.add((server.name, server.version()))
    return used


class Server:
    """One server process. Subclasses say what to run and how to tell that it answers."""

    name = 'server'
    start_timeout = 60
    stop_timeout = 20
    counted = True  # whether the test summary lists it

    def __init__(self):
        assert threading.current_thread() is threading.main_thread(), \
            'the kernel ends a child with the thread that started it'
        self.folder = Path(tempfile.mkdtemp(prefix=f'purgeline-{self.name}-'))
        self.log = self.folder / 'log'
        self.process = None
        _live.append(self)

    # What subclasses say.

    def command(self):
        raise NotImplementedError

    def ready(self):
        raise NotImplementedError

    def version(self):
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    # What tests call.

    def launch(self):
        """Starts the process and returns at once; wait_ready() waits until it answers."""
        assert not self.running(), f'{self.name} runs already'
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'KILL', '--', *map(str, self.command())],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env=self.environment(), start_new_session=True)
        if self.counted:
            _used.add((self.name, self.version()))
        return self

    def wait_ready(self):
        def answers():
            if not self.running():
                status = self.process.returncode
                raise ServerFailed(f'{self.name} ended with {status}:\n{self.tail()}')
            return self.ready()
        try:
            wait_for(answers, self.start_timeout, f'{self.name} answers')
        except TimeoutError as error:
            raise ServerFailed(f'{error}\n{self.tail()}') from None
        return self

    def start(self):
        return self.launch().wait_ready()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def pid(self):
        return self.process.pid

    def terminate(self):
        """SIGTERM to the server itself, as a service manager sends it."""
        self.process.terminate()

    def wait(self, timeout=None):
        """Waits for its end and returns the exit status."""
        status = self.process.wait(timeout or self.stop_timeout)
        self._end_group()
        return status

    def kill(self):
        """kill -9 of the whole group: no handler runs, nothing is flushed."""
        if self.process is None:
            return
        self._signal_group(signal.SIGKILL)
        self.process.wait()
        self._end_group()

    def stop(self):
        """An orderly stop, a kill when that takes too long. Returns the exit status."""
        if not self.running():
            return self.process.returncode if self.process else None
        self.terminate()
        self._signal_group(signal.SIGCONT)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode

    def pause(self):
        """SIGSTOP: connections stay open, nothing is answered."""
        self._signal_group(signal.SIGSTOP)

    def resume(self):
        self._signal_group(signal.SIGCONT)

    def tail(self, lines=40):
        try:
            text = self.log.read_text(errors='replace')
        except OSError:
            return ''
        return '\n'.join(text.splitlines()[-lines:])

    def cleanup(self):
        """Ends the process and removes its folder. Safe to call twice."""
        self.kill()
        if self in _live:
            _live.remove(self)
        if not os.environ.get('PURGELINE_KEEP'):
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cleanup()

    def _end_group(self):
        """Kills and awaits what the server itself had started: it is our child now (subreaper)."""
        self._signal_group(signal.SIGKILL)
        try:
            while True:
                os.waitpid(-self.process.pid, 0)
        except ChildProcessError:
            pass

    def _signal_group(self, number):
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def start_all(*servers):
    """Starts servers side by side; they are slow to start and do not depend on each other."""
    for server in servers:
        server.launch()
    for server in servers:
        server.wait_ready()


def live_servers():
    return list(_live)


def cleanup_all():
    for server in live_servers():
        server.cleanup()


def _on_signal(number, _frame):
    cleanup_all()
    sys.exit(128 + number)


atexit.register(cleanup_all)
if threading.current_thread() is threading.main_thread():
    for _number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(_number, _on_signal)
# A server's own children that lose their parent become ours, so that they can be awaited.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
