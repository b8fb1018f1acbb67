#!/usr/bin/env python3
"""Shows that each rule of tidy.py can fail, and that it leaves good code alone."""

import tempfile
import unittest
from pathlib import Path

import tidy

# rule, file, text that breaks it, text beside it that does not
ROWS = [
    ('include', 'src/coalesce/x.h', '#pragma once\n#include "dispatch/pool.h"\n',
     '#pragma once\n#include "coalesce/pool.h"\n#include "purgeline/event.h"\n#include <vector>\n'),
    ('include', 'src/coalesce/x.h', '#pragma once\n#include <simdjson.h>\n',
     '#pragma once\n#include <boost/unordered/unordered_flat_map.hpp>\n'),
    ('include', 'src/sources/cursor.h', '#pragma once\n#include <librdkafka/rdkafka.h>\n',
     '#pragma once\n#include <optional>\n'),
    ('include', 'include/purgeline/x.h', '#pragma once\n#include <sys/socket.h>\n',
     '#pragma once\n#include <tl/expected.hpp>\n'),
    ('include', 'src/ack/x.h', '#pragma once\n#include "tests/sim/world.h"\n',
     '#pragma once\n#include "ack/ledger.h"\n'),
    ('line length', 'src/ack/x.h', '#pragma once\n// ' + 'x' * 98 + '\n',
     '#pragma once\n// ' + 'x' * 97 + '\n'),
    ('file length', 'src/ack/x.h', '#pragma once\n' + '//\n' * 500,
     '#pragma once\n' + '//\n' * 499),
    ('function length', 'src/ack/x.h',
     '#pragma once\nvoid f() {\n' + '  g();\n' * 69 + '}\n',
     '#pragma once\nnamespace n {\nstruct S {\n' + '  int f() { return 1; }\n' * 80 + '};\n}\n'),
    ('header', 'src/ack/x.h', 'int f();\n', '#pragma once\nint f();\n'),
    ('clock', 'src/ack/x.h', '#pragma once\nauto t = std::chrono::steady_clock::now();\n',
     '#pragma once\nMonoTime t = clock.now();  // not steady_clock::now()\n'),
    ('randomness', 'src/ack/x.h', '#pragma once\nint x = rand();\n',
     '#pragma once\nint x = random.next();\n'),
    ('synchronisation', 'src/ack/x.h', '#pragma once\nstd::mutex m;\n',
     '#pragma once\nconst char* s = "std::mutex m;";\n'),
    ('raw memory', 'src/ack/x.h', '#pragma once\nauto* p = new int;\n',
     '#pragma once\nstruct S { S(const S&) = delete; };\n'
     'auto p = std::unique_ptr<S>(new S(1));  // a new one\n'),
    ('raw memory', 'src/ack/x.h', '#pragma once\nvoid f(int* p) { delete p; }\n',
     '#pragma once\nvoid f() { erase(p); }\n'),
    ('sleep', 'src/ack/x.h', '#pragma once\nvoid f() { std::this_thread::sleep_for(t); }\n',
     '#pragma once\nvoid f() { wait(t); }\n'),
    ('namespace import', 'src/ack/x.h', '#pragma once\nusing namespace std;\n',
     '#pragma once\nusing namespace std::chrono_literals;\n'),
    ('suppressed warning', 'src/ack/x.h', '#pragma once\nint x;  // ok\n'
     '#pragma GCC diagnostic ignored "-Wshadow"\n', '#pragma once\nint x;\n'),
    ('word', 'docs/x.md', '# X\nTO' + 'DO: write\n', '# X\nWhat there is to do.\n'),
    ('word', 'docs/x.md', '# X\nsee /ho' + 'me/somebody/x\n', '# X\nsee /var/lib/x\n'),
    ('markdown', 'docs/x.md', '# X\n# Y\n', '# X\n```\n# a comment\n```\n## Y\n'),
    ('markdown', 'docs/x.md', 'no title\n', '# X\n'),
    ('build', 'src/ack/x.cc', 'int x;\n', None),
]


class TestRules(unittest.TestCase):
    def findings(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            tree = tidy.Tree(folder)
            tree.check()
            return tree.findings

    def test_each_rule_finds_what_it_is_for_and_nothing_else(self):
        for rule, name, bad, good in ROWS:
            with self.subTest(rule=rule, bad=bad[:60]):
                found = self.findings({name: bad})
                self.assertTrue(found)
                self.assertTrue(all(f': {rule}: ' in finding for finding in found), found)
                if good is not None:
                    self.assertEqual(self.findings({name: good}), [])

    def test_a_source_that_is_built_is_not_dead(self):
        found = self.findings({'src/ack/x.cc': 'int x;\n',
                               'src/ack/CMakeLists.txt': 'purgeline_library(ack SOURCES x.cc)'})
        self.assertEqual(found, [])

    def test_only_one_unit_includes_a_heavy_header(self):
        text = '#include <CLI/CLI.hpp>\n'
        found = self.findings({'src/cli/a.cc': text, 'src/cli/b.cc': text,
                               'src/cli/CMakeLists.txt': 'a.cc b.cc'})
        self.assertEqual(found, ['src/cli/b.cc:1: include: CLI is in src/cli/a.cc already'])

    def test_the_length_of_a_function_counts_what_is_inside(self):
        text = ('class C {\n public:\n  C() : x_{1} {\n    if (a) {\n      b([] {\n        c();\n'
                '      });\n    }\n  }\n  int x_;\n};\n'
                '#define M(x) { x\nstruct D : B { int y = 0; };\n'
                'bool f() noexcept {\n  return "}{";\n}\n')
        self.assertEqual(list(tidy.functions(text)), [(3, 7), (14, 3)])


if __name__ == '__main__':
    unittest.main()
