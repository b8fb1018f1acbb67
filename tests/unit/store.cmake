foreach(part database state_dir thread crash)
  purgeline_test(store_${part}_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/store_${part}_test.cc
    DEPS purgeline_store LABELS unit)
endforeach()

purgeline_test(store_journal_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/store_journal_test.cc ${CMAKE_CURRENT_LIST_DIR}/store_vfs.cc
  DEPS purgeline_store purgeline_metrics LABELS unit)
purgeline_test(store_journal_crash_test
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/store_journal_crash_test.cc ${CMAKE_CURRENT_LIST_DIR}/store_vfs.cc
  DEPS purgeline_store deps::sqlite LABELS unit)
