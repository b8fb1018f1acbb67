"""The real daemon where io_uring is refused: epoll takes over and says why, a forced ring does not.

No broker is needed: the transport is made before anything is read.
"""

import errno
import os

from harness import (NoBroker, PurgeSink, Purgeline, ServerFailed, ServerTestCase, http_client,
                     main, wait_for)

# As <sys/syscall.h> has them on every architecture: the calls are newer than the common table.
SETUP, REGISTER = 425, 427
NOBODY = 65534


class Wrapped(Purgeline):
    """The daemon, started by another program."""

    def __init__(self, before, sink, io):
        super().__init__(NoBroker(), ['purge'], [('backend', [sink.address])], {'io': io})
        self.before = before

    def command(self):
        return [*self.before, *super().command()]

    def ready(self):
        return http_client.answers(self.admin) and bool(self.metrics())


class TestRefusal(ServerTestCase):
    def setUp(self):
        super().setUp()
        self.sink = PurgeSink()
        self.addCleanup(self.sink.cleanup)

    def daemon(self, *before, io='auto'):
        return Wrapped(list(before), self.sink, io)

    def refused(self, call, error, io='auto'):
        return self.daemon(os.environ['PURGELINE_REFUSE_SYSCALL'], str(call), str(error), io=io)

    def backend(self, daemon):
        """The labels of the one sample of purgeline_io_backend_info."""
        wait_for(lambda: 'purgeline_io_backend_info' in daemon.metrics(), 10, 'the shard turns')
        [(labels, value)] = daemon.metrics()['purgeline_io_backend_info']
        self.assertEqual(value, 1)
        return labels

    def assert_epoll_because(self, daemon, cause):
        daemon.start()
        labels = self.backend(daemon)
        self.assertEqual(labels['backend'], 'epoll')
        self.assertRegex(labels['reason'], cause)
        # It works: the target's connection is one that epoll made.
        wait_for(lambda: daemon.metric('purgeline_target_state', layer='backend') == 1, 20,
                 'the cache was reached')
        self.assertEqual(daemon.stop(), 0)
        lines = [line for line in daemon.log.read_text().splitlines() if 'io_uring' in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn('epoll', lines[0])
        self.assertRegex(lines[0], cause)

    def test_a_sandbox_that_forbids_the_ring(self):
        self.assert_epoll_because(self.refused(SETUP, errno.EPERM),
                                  'seccomp filter|io_uring_disabled')

    def test_a_kernel_without_rings(self):
        self.assert_epoll_because(self.refused(SETUP, errno.ENOSYS), 'has no io_uring')

    def test_a_ring_that_takes_no_restrictions(self):
        self.assert_epoll_because(self.refused(REGISTER, errno.EPERM), 'restrictions were refused')

    def test_too_little_locked_memory_names_the_limit(self):
        # Kernels before 5.12 count rings as locked memory; the answer of one, and the limit.
        daemon = self.refused(SETUP, errno.ENOMEM)
        daemon.before = ['prlimit', f'--memlock={16 * 1024}:{16 * 1024}', *daemon.before]
        self.assert_epoll_because(daemon, r'ulimit -l is 16 KiB')

    def test_without_locked_memory_and_root_it_runs(self):
        daemon = self.daemon('prlimit', '--memlock=0:0', 'setpriv', f'--reuid={NOBODY}',
                             f'--regid={NOBODY}', '--clear-groups', '--bounding-set=-all')
        if os.geteuid() == 0:
            for path in (daemon.folder, daemon.folder / 'state'):
                os.chown(path, NOBODY, NOBODY)
        else:
            daemon.before = daemon.before[:2]
        daemon.start()
        labels = self.backend(daemon)
        if labels['backend'] == 'epoll':
            self.assertRegex(labels['reason'], r'ulimit -l is 0 KiB')
        else:  # 5.12 and later: memory of rings is the control group's
            self.assertEqual(labels, {'backend': 'uring', 'reason': ''})
        self.assertEqual(daemon.stop(), 0)

    def test_a_forced_ring_is_an_error_with_the_cause(self):
        daemon = self.refused(SETUP, errno.EPERM, io='uring')
        with self.assertRaises(ServerFailed) as caught:
            daemon.start()
        self.assertEqual(daemon.process.returncode, 1)
        self.assertRegex(str(caught.exception), 'not started.*io: uring was asked for: refused')

    def test_a_forced_epoll_asks_for_no_ring(self):
        daemon = self.refused(SETUP, errno.EPERM, io='epoll').start()
        self.assertEqual(self.backend(daemon), {'backend': 'epoll', 'reason': ''})
        self.assertEqual(daemon.stop(), 0)
        self.assertNotIn('io_uring', daemon.log.read_text())


if __name__ == '__main__':
    main()
