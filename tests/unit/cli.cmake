purgeline_test(cli_test SOURCES cli_test.cc DEPS purgeline_cli LABELS unit)
target_compile_definitions(cli_test PRIVATE PURGELINE_TEST_FOLDER="${CMAKE_CURRENT_SOURCE_DIR}")
