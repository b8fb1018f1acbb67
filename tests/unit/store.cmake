foreach(part database state_dir thread crash)
  purgeline_test(store_${part}_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/store_${part}_test.cc
    DEPS purgeline_store LABELS unit)
endforeach()
