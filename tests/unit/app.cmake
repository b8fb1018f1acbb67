purgeline_test(app_journal_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/app_journal_test.cc
  DEPS purgeline_shard purgeline_config LABELS unit)
