"""The shipped daemon whose shard's thread alone is stopped: /healthz, the log, then the end.

A debugger's stop (ptrace) holds one thread and leaves the others, which no signal can.
"""

import ctypes
import os
import signal
import socket
import time
from pathlib import Path

from harness import (NoBroker, PurgeSink, Purgeline, ServerTestCase, http_client, main, wait_for)

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # __WALL: waits for threads too
LIBC = ctypes.CDLL(None, use_errno=True)


def ptrace(request, thread):
    if LIBC.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), f'ptrace {request:#x}')


class Watched(Purgeline):
    """The daemon with a service manager that only listens."""

    def __init__(self, sink):
        super().__init__(NoBroker(), ['purge'], [('backend', [sink.address])])
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(f'{self.folder}/notify')
        self.manager.setblocking(False)

    def environment(self):
        return {**os.environ, 'NOTIFY_SOCKET': f'{self.folder}/notify', 'WATCHDOG_USEC': '600000'}

    def ready(self):
        return http_client.answers(self.admin) and self.health().status == 200

    def health(self):
        return http_client.request(self.admin, 'GET', '/healthz')

    def heard(self):
        """What the manager was told since the last call."""
        words = []
        try:
            while True:
                words.append(self.manager.recv(4096).decode())
        except BlockingIOError:
            return words

    def shard(self):
        """The shard's thread, once it has its name."""
        for task in Path(f'/proc/{self.pid()}/task').iterdir():
            if (task / 'comm').read_text() == 'shard\n':
                return int(task.name)
        return None

    def cleanup(self):
        self.manager.close()
        super().cleanup()


class TestWatchdog(ServerTestCase):
    def setUp(self):
        super().setUp()
        sink = PurgeSink()
        self.addCleanup(sink.cleanup)
        self.daemon = Watched(sink).start()
        wait_for(lambda: 'WATCHDOG=1' in self.daemon.heard(), 20, 'the watchdog is fed')
        self.thread = wait_for(self.daemon.shard, 20, 'the shard has its name')
        ptrace(SEIZE, self.thread)
        ptrace(INTERRUPT, self.thread)
        os.waitpid(self.thread, WALL)

    def wait_unhealthy(self):
        wait_for(lambda: self.daemon.health().status == 503, 20, '/healthz fails')
        self.assertIn('the loop has not turned for', self.daemon.health().body)
        wait_for(lambda: 'event="loop blocked"' in self.daemon.log.read_text(), 5, 'it is logged')

    def test_a_shard_that_stays_stopped_ends_the_daemon(self):
        self.wait_unhealthy()
        self.daemon.heard()
        since = time.monotonic()
        os.waitpid(self.thread, WALL)  # a traced thread is its tracer's to bury
        self.assertEqual(self.daemon.wait(30), -signal.SIGABRT)
        self.assertGreater(time.monotonic() - since, 1)
        self.assertNotIn('WATCHDOG=1', self.daemon.heard())
        last = self.daemon.log.read_text().splitlines()[-1]
        self.assertRegex(last, 'event=aborting why="the loop has not turned .*" doing=\w+ '
                               'stack="none: the thread does not answer"')

    def test_a_shard_that_turns_again_is_healthy(self):
        self.wait_unhealthy()
        ptrace(DETACH, self.thread)
        wait_for(lambda: self.daemon.health().status == 200, 5, '/healthz is well again')
        self.daemon.heard()
        wait_for(lambda: 'WATCHDOG=1' in self.daemon.heard(), 5, 'the watchdog is fed again')
        self.assertEqual(self.daemon.stop(), 0)
        self.assertIn('event="loop turns again"', self.daemon.log.read_text())


if __name__ == '__main__':
    main()
