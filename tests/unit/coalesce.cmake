purgeline_test(coalesce_test
  SOURCES coalesce_versions_test.cc coalesce_slab_test.cc coalesce_journeys_test.cc
    coalesce_credit_test.cc coalesce_fences_test.cc coalesce_fences_peers_test.cc
    coalesce_reload_test.cc
  DEPS purgeline_coalesce LABELS unit)
purgeline_test(ack_test SOURCES ack_test.cc DEPS purgeline_ack LABELS unit)
