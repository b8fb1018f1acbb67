purgeline_test(control_metrics_test
  SOURCES control_metrics_test.cc DEPS purgeline_metrics LABELS unit)
target_compile_definitions(control_metrics_test PRIVATE
  PURGELINE_DOCS_DIR="${CMAKE_SOURCE_DIR}/docs")
purgeline_test(control_log_test SOURCES control_log_test.cc DEPS purgeline_log LABELS unit)
purgeline_test(control_admin_test
  SOURCES control_http_test.cc control_pages_test.cc control_server_test.cc control_thread_test.cc
  DEPS purgeline_admin deps::boost LABELS unit)
# Its functions have names at run time.
purgeline_test(control_stack_test SOURCES control_stack_test.cc DEPS purgeline_admin LABELS unit)
set_target_properties(control_stack_test PROPERTIES ENABLE_EXPORTS ON)
