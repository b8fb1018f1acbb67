purgeline_test(io_test SOURCES io_transport_test.cc io_resolver_test.cc io_refusal_test.cc DEPS purgeline_io
  LABELS unit TIMEOUT 120)
