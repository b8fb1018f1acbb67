purgeline_fuzz(fuzz_event SOURCES fuzz_event.cc DEPS purgeline_decode
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/event)
purgeline_fuzz(fuzz_url SOURCES fuzz_url.cc DEPS purgeline_decode
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/url)
purgeline_fuzz(fuzz_htcp SOURCES fuzz_htcp.cc DEPS purgeline_decode
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/htcp)
