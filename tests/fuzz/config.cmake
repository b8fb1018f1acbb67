purgeline_fuzz(fuzz_config SOURCES fuzz_config.cc DEPS purgeline_config
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/config)
