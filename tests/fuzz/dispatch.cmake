purgeline_fuzz(fuzz_response SOURCES fuzz_response.cc DEPS purgeline_dispatch CORPUS corpus/response)
