purgeline_fuzz(fuzz_response SOURCES fuzz_response.cc DEPS purgeline_dispatch CORPUS corpus/response)
purgeline_fuzz(fuzz_dispatch SOURCES fuzz_dispatch.cc DEPS purgeline_dispatch CORPUS corpus/dispatch)
target_include_directories(fuzz_dispatch PRIVATE ${CMAKE_SOURCE_DIR}/tests)
