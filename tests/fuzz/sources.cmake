purgeline_fuzz(fuzz_peers SOURCES fuzz_peers.cc DEPS purgeline_sources
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/peers)
