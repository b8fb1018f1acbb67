"""The tables of tidy.py: what each folder may include, and where a thing may be used at all.

A row that looks like an exception says why it is one.
"""

# ---- who may include whom -----------------------------------------------------------------------
#
# folder: (folders of ours, third-party rooms). Stages meet in include/ and never include each
# other; only app/ wires them, and the tests under sim/ do it a second time.

STAGES = ('sources', 'store', 'decode', 'route', 'coalesce', 'dispatch', 'ack', 'audit')
ANYWHERE = ('tl',)  # Result is a tl::expected
EVERYTHING = ('include', 'base', 'io', *STAGES, 'intake', 'control', 'cli', 'app')

INCLUDES = {
    'include': (('include',), ()),
    'base': (('include', 'base'), ('xxhash', 'system')),  # inet_pton
    'io': (('include', 'base', 'io'), ('system', 'liburing')),
    'sources': (('include', 'base', 'sources'), ('system', 'rdkafka')),
    'store': (('include', 'base', 'store'), ('system', 'sqlite3')),
    'decode': (('include', 'base', 'decode'), ('simdjson', 'xxhash', 'system')),  # inet_pton
    # What comes in is decoded before the log, by the code that decodes it again behind the log.
    'intake': (('include', 'base', 'decode', 'intake'), ('system',)),
    'route': (('include', 'base', 'route'), ('re2',)),
    'coalesce': (('include', 'base', 'coalesce'), ('boost.unordered', 'boost.intrusive', 'xxhash')),
    'dispatch': (('include', 'base', 'dispatch'), ('boost.intrusive',)),
    'ack': (('include', 'base', 'ack'), ()),
    'audit': (('include', 'base', 'audit'), ()),
    'control': (('include', 'base', 'control'),
                ('system', 'boost.asio', 'boost.beast', 'boost.system', 'yaml-cpp', 'prometheus',
                 'spdlog', 'fmt', 're2')),
    'cli': (('include', 'base', 'control', 'cli'), ('system', 'CLI', 'fmt')),
    'app': (EVERYTHING, ('system', 'spdlog', 'fmt', 'boost.asio')),
}

# Rooms within a folder: the header may be included by files with these names only.
FILES = {
    'rdkafka': ('src/sources/kafka*', 'tests/kafka/*', 'bench/*'),
    'yaml-cpp': ('src/control/config*',),
    'liburing': ('src/io/*',),
    'sqlite3': ('src/store/*', 'tests/unit/store*'),
}

# Headers that take a compiler half a minute: one translation unit of the program each.
ONE_UNIT = ('boost.beast', 'CLI')

# ---- what may be used where ---------------------------------------------------------------------
#
# name: (pattern, what to do instead, {where it is allowed: why})

USES = {
    'clock': (
        r'::now\(|\bclock_gettime\b|\bgettimeofday\b|\btime\((?:nullptr|NULL|0)\)',
        'take a Clock&',
        {'src/io/*': 'implements Clock', 'src/app/*': 'hands the clock to the stages',
         'tests/*': 'tests of real sockets need a deadline', 'bench/*': 'measures time'}),
    'randomness': (
        r'\brand\(|\bsrand\(|std::random_device|std::mt19937|std::uniform_\w+_distribution',
        'take a Random&',
        {'src/io/*': 'implements Random', 'src/app/*': 'hands the seed to the stages',
         'tests/*': 'seeded and printed', 'bench/*': 'input data'}),
    'synchronisation': (
        r'std::(?:mutex|shared_mutex|recursive_mutex|atomic\w*|condition_variable\w*|scoped_lock'
        r'|lock_guard|unique_lock|shared_lock|counting_semaphore|latch|barrier)\b',
        'one thread owns it, or a mailbox passes it on',
        {'src/io/mailbox*': 'the queue between two threads',
         'src/io/thread_resolver*': 'name service calls block and have a thread of their own',
         'src/control/*': 'heartbeat and metrics snapshot are read by another thread',
         'src/app/shard*': 'the stop flag, the descriptor that ends the sleep, and questions of the'
         ' intake',
         'src/store/*': 'the writer thread hands its answers back',
         'src/sources/kafka_outbox*': 'forwards on a thread of its own, metrics are read by others',
         'src/sources/kafka_peers*': 'the latest of each peer, between its thread and the shard',
         'src/sources/kafka_helper*': 'blocking calls of librdkafka have a thread of their own',
         'tests/*': 'servers and threads of tests', 'bench/*': 'servers of benchmarks'}),
    'raw memory': (
        # A unique_ptr around a private constructor is the one `new` there is.
        r'(?<!>\()\bnew\s+[\w:(]|(?<!operator )(?<!= )\bdelete\b(?:\[\])?\s*[\w(*]'
        r'|\bmalloc\(|\bfree\(',
        'use values, unique_ptr or a pool',
        {'tests/support/alloc*': 'counts allocations by replacing operator new',
         'tests/kafka/contract_kafka_test.cc': 'googletest owns its environments',
         'tests/kafka/kafka_peers_test.cc': 'googletest owns its environments',
         'src/sources/kafka_client.cc': 'librdkafka frees commit metadata with free()'}),
    'sleep': (
        r'\bsleep_for\b|\bsleep_until\b|\busleep\(|\bnanosleep\(|(?<![\w.])sleep\(',
        'wait for the event',
        {'src/io/*': 'the tick is a sleep, then one harvest',
         'tests/unit/io_transport_test.cc': 'stands in for the tick',
         'bench/*': 'looks at counters now and then, and is no part of what it measures'}),
    'namespace import': (
        r'\busing namespace (?!std::(?:chrono_|string_view_)?literals)', 'name what is used',
        {'tests/*': 'literals of tests', 'bench/*': 'literals'}),
    'suppressed warning': (r'#pragma GCC diagnostic ignored|NOLINT', 'mend the cause',
                           {'src/control/*': 'Beast and spdlog warn in their own headers',
                            'tests/*': 'googletest macros'}),
}

# ---- what no text of the project may say --------------------------------------------------------

WORDS = {
    r'\b(?:TO[D]O|FI[X]ME|X[X]X|HA[C]K)\b': 'do it now or file it',
    r'(?<![\w.])/(?:home|root|w[o]rk|Users)/\w': 'a path of one machine',
    r'(?<![\w/])s[h]ared/(?:design|style|reference|data)': 'a path of one workplace',
    r'(?:repo1?\.maven|deb\.deb[i]an|pypi\.org|registry\.npm)': 'package tools know their hosts',
}

LINE_LENGTH = 100
FUNCTION_LENGTH = 70
FILE_LENGTH = 500

# Files whose lines may be longer.
LONG_LINES = {
    '*.def': 'one row of a table per line',
    '*.md': 'prose is wrapped by its reader',
    '*.json': 'data', '*.vtc': 'requests are written as they go out', '*.svg': 'data',
    '*.cmake': 'target lists', '*CMakeLists.txt': 'target lists', '*.txt': 'expected messages',
    'tests/fuzz/corpus/*': 'inputs', 'LICENSE': 'not ours',
    '*.yaml': 'configuration under test', '*.yml': 'configuration',
}
