purgeline_test(app_test SOURCES app_absences_test.cc app_readings_test.cc app_reload_test.cc
  DEPS purgeline_pipeline LABELS unit)
purgeline_test(app_partitions_test
  SOURCES app_partitions_test.cc DEPS purgeline_pipeline LABELS unit)
purgeline_test(app_absence_test SOURCES app_absence_test.cc DEPS purgeline_sim LABELS unit)
purgeline_test(app_catch_up_test SOURCES app_catch_up_test.cc DEPS purgeline_sim LABELS unit)
purgeline_test(app_order_test SOURCES app_order_test.cc DEPS purgeline_sim LABELS unit)
purgeline_test(app_fences_test SOURCES app_fences_test.cc DEPS purgeline_sim LABELS unit)
purgeline_test(app_rebound_test SOURCES app_rebound_test.cc DEPS purgeline_sim LABELS unit)
purgeline_test(app_dead_letter_test SOURCES app_dead_letter_test.cc DEPS purgeline_sim LABELS unit)
purgeline_test(app_watches_test SOURCES app_watches_test.cc DEPS purgeline_sim LABELS unit)
# librdkafka's threads are made by thrd_create(), which the thread sanitizer does not know.
if(NOT PURGELINE_SANITIZE MATCHES thread)
  purgeline_test(app_shard_test
    SOURCES app_shard_test.cc DEPS purgeline_shard purgeline_config LABELS unit TIMEOUT 120)
  purgeline_test(app_watchdog_test SOURCES app_watchdog_test.cc DEPS purgeline_shard deps::boost LABELS unit)
  set_target_properties(app_watchdog_test PROPERTIES ENABLE_EXPORTS ON)
endif()
purgeline_test(app_journal_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/app_journal_test.cc
  DEPS purgeline_shard purgeline_config LABELS unit)
purgeline_test(app_peer_barrier_test
  SOURCES app_peer_barrier_test.cc DEPS purgeline_pipeline LABELS unit)
purgeline_test(app_peers_test
  SOURCES app_peers_test.cc app_peers_fences_test.cc DEPS purgeline_sim purgeline_metrics LABELS unit)
