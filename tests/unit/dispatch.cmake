purgeline_test(dispatch_http1_test SOURCES dispatch_http1_test.cc DEPS purgeline_dispatch LABELS unit)
purgeline_test(dispatch_beast_test SOURCES dispatch_beast_test.cc DEPS purgeline_dispatch deps::boost LABELS unit)
purgeline_test(dispatch_test
  SOURCES dispatch_connection_test.cc dispatch_answers_test.cc dispatch_breaker_test.cc dispatch_random_test.cc
  DEPS purgeline_dispatch LABELS unit)
# Alone in its program: it replaces the allocator.
purgeline_test(dispatch_alloc_test SOURCES dispatch_alloc_test.cc ${CMAKE_SOURCE_DIR}/tests/support/allocations.cc
  DEPS purgeline_dispatch LABELS unit)
