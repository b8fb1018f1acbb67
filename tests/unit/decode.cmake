purgeline_test(decode_test SOURCES decode_test.cc ${CMAKE_SOURCE_DIR}/tests/support/allocations.cc
  DEPS purgeline_decode LABELS unit)
purgeline_test(route_test SOURCES route_test.cc ${CMAKE_SOURCE_DIR}/tests/support/allocations.cc
  DEPS purgeline_route LABELS unit)

add_executable(decode_url_split decode_url_split.cc)
target_link_libraries(decode_url_split PRIVATE purgeline_options purgeline_decode)
add_test(NAME decode_url_differential COMMAND /usr/bin/python3
  ${CMAKE_CURRENT_SOURCE_DIR}/decode_url_differential.py $<TARGET_FILE:decode_url_split>)
set_tests_properties(decode_url_differential PROPERTIES LABELS unit TIMEOUT 300)

add_executable(decode_htcp_read decode_htcp_read.cc)
target_link_libraries(decode_htcp_read PRIVATE purgeline_options purgeline_decode)
add_test(NAME decode_htcp_differential COMMAND /usr/bin/python3
  ${CMAKE_CURRENT_SOURCE_DIR}/decode_htcp_differential.py $<TARGET_FILE:decode_htcp_read>)
set_tests_properties(decode_htcp_differential PROPERTIES LABELS unit TIMEOUT 300)
