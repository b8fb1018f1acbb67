"""TestCase and runner for tests that start servers."""

import os
import sys
import unittest

from . import process

# Names a file that gets a line per server and test: server, version, test, separated by tabs.
USAGE = 'PURGELINE_SERVER_USAGE'


class ServerTestCase(unittest.TestCase):
    """Cleans up every server that a test made, and notes which servers the test used.

    Servers made in setUpClass live on until the class ends: hand them to keep().
    """

    _kept = ()

    @classmethod
    def keep(cls, *servers):
        cls._kept = cls._kept + servers
        for server in servers:
            cls.addClassCleanup(server.cleanup)

    def setUp(self):
        self.addCleanup(self._finish)

    def _finish(self):
        note_usage(self.id())
        for server in process.live_servers():
            if server not in self._kept:
                server.cleanup()


def note_usage(test):
    """Adds a line for each server that ran since the last call."""
    path = os.environ.get(USAGE)
    used = process.take_used()
    if path and used:
        with open(path, 'a') as file:  # one write, so that lines of parallel programs stay whole
            file.write(''.join(f'{name}\t{version}\t{test}\n' for name, version in sorted(used)))


class _Result(unittest.TextTestResult):
    """Shows what the servers said when a test fails: their folders are gone afterwards."""

    def addError(self, test, error):
        super().addError(test, error)
        self._show_servers()

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._show_servers()

    def _show_servers(self):
        for server in process.live_servers():
            self.stream.writeln(f'--- {server.name} ({"runs" if server.running() else "ended"}):')
            self.stream.writeln(server.tail())


def main():
    """Runs the calling module's tests. A skipped test is a failure: no server is optional."""
    program = unittest.main(
        exit=False, verbosity=2, argv=sys.argv,
        testRunner=unittest.TextTestRunner(resultclass=_Result, verbosity=2, stream=sys.stdout))
    result = program.result
    process.cleanup_all()
    complete = result.wasSuccessful() and result.testsRun > 0 and not result.skipped
    sys.exit(0 if complete else 1)
