purgeline_test(dispatch_http1_test SOURCES dispatch_http1_test.cc DEPS purgeline_dispatch LABELS unit)
purgeline_test(dispatch_beast_test SOURCES dispatch_beast_test.cc DEPS purgeline_dispatch deps::boost LABELS unit)
purgeline_test(dispatch_test
  SOURCES dispatch_connection_test.cc dispatch_answers_test.cc dispatch_breaker_test.cc dispatch_random_test.cc
    dispatch_reload_test.cc dispatch_proof_test.cc
  DEPS purgeline_dispatch LABELS unit)
# Alone in its program: it replaces the allocator.
purgeline_test(dispatch_alloc_test SOURCES dispatch_alloc_test.cc ${CMAKE_SOURCE_DIR}/tests/support/allocations.cc
  DEPS purgeline_dispatch LABELS unit)

add_executable(dispatch_response_split dispatch_response_split.cc)
target_link_libraries(dispatch_response_split PRIVATE purgeline_options purgeline_dispatch)
add_test(NAME dispatch_response_differential COMMAND /usr/bin/python3
  ${CMAKE_CURRENT_SOURCE_DIR}/dispatch_response_differential.py $<TARGET_FILE:dispatch_response_split>)
set_tests_properties(dispatch_response_differential PROPERTIES LABELS unit TIMEOUT 300)
