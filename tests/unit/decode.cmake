purgeline_test(decode_test SOURCES decode_test.cc ${CMAKE_SOURCE_DIR}/tests/support/allocations.cc
  DEPS purgeline_decode LABELS unit)
purgeline_test(route_test SOURCES route_test.cc DEPS purgeline_route LABELS unit)
