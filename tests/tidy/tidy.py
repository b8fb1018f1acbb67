#!/usr/bin/env python3
"""Holds what a compiler does not: the include rules, sizes, banned calls and words.

Prints the include matrix and every finding as `file:line: rule: what`; exits 1 when there is one.
The tables are in rules.py.
"""

import fnmatch
import re
import sys
from collections import Counter
from pathlib import Path

import rules

SKIPPED = {'.git', 'build', '__pycache__', '.cache'}
CODE = {'.cc', '.h'}
TEXT = CODE | {'.py', '.md', '.cmake', '.txt', '.def', '.yaml', '.yml', '.json', '.vtc', '.sh', ''}
SYSTEM = ('sys/', 'linux/', 'netinet/', 'arpa/', 'net/')
THIRD_PARTY = {
    'librdkafka': 'rdkafka', 'liburing.h': 'liburing', 'yaml-cpp': 'yaml-cpp',
    'simdjson.h': 'simdjson', 'sqlite3.h': 'sqlite3', 're2': 're2', 'xxhash.h': 'xxhash',
    'prometheus': 'prometheus',
    'spdlog': 'spdlog', 'fmt': 'fmt', 'CLI': 'CLI', 'tl': 'tl', 'gtest': 'gtest', 'gmock': 'gmock',
    'benchmark': 'benchmark',
}


def strip(text):
    """C++ without comments and with empty literals, line by line as it was."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"'
        r'|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'', re.S)

    def blank(match):
        lines = '\n' * match.group().count('\n')
        return lines if match.group().startswith('/') else '""' + lines
    return pattern.sub(blank, text)


class Tree:
    """The files of a checkout and what was found in them."""

    def __init__(self, root):
        self.root = Path(root)
        self.findings = []
        self.files = sorted(
            path.relative_to(self.root).as_posix() for path in self.root.rglob('*')
            if path.is_file() and path.suffix in TEXT
            and not SKIPPED & set(path.relative_to(self.root).parts))
        self.texts = {}
        for name in self.files:
            try:
                self.texts[name] = (self.root / name).read_text()
            except UnicodeDecodeError:
                continue  # corpora and recorded bytes

    def code(self):
        return [(name, self.texts[name]) for name in self.texts if Path(name).suffix in CODE]

    def report(self, name, line, rule, what):
        self.findings.append(f'{name}:{line}: {rule}: {what}')

    def check(self):
        matrix = check_includes(self)
        check_sizes(self)
        check_uses(self)
        check_words(self)
        check_markdown(self)
        check_built(self)
        return matrix


def line_of(text, position):
    return text.count('\n', 0, position) + 1


def allowed(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def folder_of(name):
    """The row of the include table: `include`, a folder of src; None for tests and benchmarks."""
    parts = name.split('/')
    if parts[0] == 'include':
        return 'include'
    return parts[1] if parts[0] == 'src' and len(parts) > 2 else None


def room_of(header):
    """The third-party room of an `#include <...>`, `system`, or None for the standard library."""
    first = header.split('/')[0]
    if first == 'boost':
        part = re.split(r'[/.]', header)[1]
        return 'boost.' + ('unordered' if part.startswith('unordered') else part)
    if first in THIRD_PARTY:
        return THIRD_PARTY[first]
    if header.startswith(SYSTEM) or header.endswith('.h'):
        return 'system'
    return None


def check_includes(tree):
    """Holds the include table and returns how often each folder includes each other one."""
    matrix = {}
    units = {room: set() for room in rules.ONE_UNIT}
    for name, text in tree.code():
        folder = folder_of(name)
        row = matrix.setdefault(folder or name.split('/')[0], Counter())
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', text, re.M):
            line = line_of(text, match.start())
            if match.group(1):
                seen = match.group(1).split('/')[0].replace('purgeline', 'include')
                if folder and '/' not in match.group(1):
                    tree.report(name, line, 'include', f'write "{folder}/{match.group(1)}"')
                elif folder and seen not in allowed_of(folder)[0]:
                    tree.report(name, line, 'include', f'{folder} may not include {seen}')
                row[seen] += 1
                continue
            room = room_of(match.group(2))
            if room is None:
                continue
            row[room] += 1
            if folder and room not in (*allowed_of(folder)[1], *rules.ANYWHERE):
                tree.report(name, line, 'include', f'{folder} may not include <{match.group(2)}>')
            if room in rules.FILES and not allowed(name, rules.FILES[room]):
                tree.report(name, line, 'include', f'{room} belongs in {rules.FILES[room][0]}')
            if room in units and folder:
                units[room].add(name)
    for room, names in units.items():
        for name in sorted(names)[1:]:
            tree.report(name, 1, 'include', f'{room} is in {sorted(names)[0]} already')
    return matrix


def allowed_of(folder):
    return rules.INCLUDES.get(folder, ((), ()))


def functions(text):
    """(line, number of lines) of every function body, found by its braces."""
    code = re.sub(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', '', strip(text), flags=re.M)
    kinds, starts = [], []
    statement = 0
    line = 1
    for at, char in enumerate(code):
        if char == '\n':
            line += 1
        elif char == ';':
            statement = at + 1
        elif char == '{':
            kinds.append(kind_of(code[statement:at], kinds))
            starts.append(line)
            if kinds[-1] != 'member':
                statement = at + 1
        elif char == '}' and kinds:
            start, kind = starts.pop(), kinds.pop()
            if kind == 'function':
                yield start, line - start + 1
            if kind != 'member':
                statement = at + 1


def kind_of(head, kinds):
    if kinds and kinds[-1] in ('function', 'block'):
        return 'block'
    if re.search(r'\bnamespace\b|\bextern\b\s*""', head):
        return 'scope'
    if re.search(r'\b(?:class|struct|union|enum)\b[^()]*$', head):
        return 'scope'
    if re.search(r'\)\s*(?:noexcept\s*)?:[^:].*[\w>]\s*$', head, re.S):
        return 'member'  # a braced initialiser before a constructor's body
    return 'function' if ')' in head else 'block'


def check_sizes(tree):
    for name, text in tree.texts.items():
        lines = text.split('\n')
        if not allowed(name, rules.LONG_LINES):
            for number, line in enumerate(lines, 1):
                if len(line) > rules.LINE_LENGTH:
                    tree.report(name, number, 'line length', f'{len(line)} > {rules.LINE_LENGTH}')
        if Path(name).suffix not in CODE:
            continue
        if len(lines) - 1 > rules.FILE_LENGTH:
            tree.report(name, 1, 'file length', f'{len(lines) - 1} > {rules.FILE_LENGTH} lines')
        for line, length in functions(text):
            if length > rules.FUNCTION_LENGTH:
                what = f'{length} > {rules.FUNCTION_LENGTH} lines'
                tree.report(name, line, 'function length', what)
        if name.endswith('.h') and '#pragma once' not in text:
            tree.report(name, 1, 'header', 'has no #pragma once')


def check_uses(tree):
    for name, text in tree.code():
        code = strip(text)
        if name.startswith(('src/', 'include/')) and re.search(r'#\s*include\s*"tests/', text):
            tree.report(name, 1, 'include', 'the program knows nothing of its tests')
        for rule, (pattern, instead, places) in rules.USES.items():
            if allowed(name, places):
                continue
            for match in re.finditer(pattern, code):
                what = f'{match.group().strip()!r}: {instead}'
                tree.report(name, line_of(code, match.start()), rule, what)


def check_words(tree):
    for name, text in tree.texts.items():
        for pattern, why in rules.WORDS.items():
            for match in re.finditer(pattern, text):
                tree.report(name, line_of(text, match.start()), 'word', f'{match.group()!r}: {why}')


def check_markdown(tree):
    for name, text in tree.texts.items():
        if not name.endswith('.md'):
            continue
        prose = re.sub(r'^```.*?^```', lambda m: '\n' * m.group().count('\n'), text,
                       flags=re.S | re.M)
        titles = list(re.finditer(r'^# ', prose, re.M))
        if len(titles) != 1:
            line = line_of(prose, titles[1].start()) if titles else 1
            tree.report(name, line, 'markdown', f'{len(titles)} titles instead of one')


def check_built(tree):
    """Every source is named by a CMake file of its folder: a file that nobody compiles is dead."""
    for name, _ in tree.code():
        if not name.endswith('.cc') or not name.startswith(('src/', 'tests/', 'bench/')):
            continue
        path = Path(name)
        # Support files are shared, so that the list which names one stands elsewhere in tests/.
        lists = [text for other, text in tree.texts.items()
                 if (Path(other).parent in (path.parent, *list(path.parents)[:-1])
                     or name.startswith('tests/support/') and other.startswith('tests/'))
                 and (other.endswith('.cmake') or other.endswith('CMakeLists.txt'))]
        if not any(re.search(rf'(?<![\w-]){re.escape(path.name)}\b', text)
                   or 'foreach' in text and any(
                       part in text for part in (path.stem, path.stem.split('_', 1)[-1][:-5]))
                   for text in lists):
            tree.report(name, 1, 'build', 'no CMake file builds it')


def print_matrix(matrix):
    columns = sorted({column for row in matrix.values() for column in row})
    order = [folder for folder in (*rules.INCLUDES, 'tests', 'bench') if folder in matrix]
    width = max(map(len, columns), default=0)
    print('Includes by folder (columns) of each header (rows):')
    print(' ' * width, *(f'{folder[:8]:>8}' for folder in order))
    for column in columns:
        print(f'{column:<{width}}', *(f'{matrix[folder][column] or ".":>8}' for folder in order))


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    tree = Tree(root)
    print_matrix(tree.check())
    for finding in sorted(tree.findings):
        print(finding)
    print(f'{len(tree.texts)} files, {len(tree.findings)} findings')
    sys.exit(1 if tree.findings or not tree.texts else 0)


if __name__ == '__main__':
    main()
