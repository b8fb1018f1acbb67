purgeline_test(app_test SOURCES app_dead_letter_test.cc DEPS purgeline_sim LABELS unit)
# librdkafka's threads are made by thrd_create(), which the thread sanitizer does not know.
if(NOT PURGELINE_SANITIZE MATCHES thread)
  purgeline_test(app_watchdog_test SOURCES app_watchdog_test.cc DEPS purgeline_shard deps::boost LABELS unit)
  set_target_properties(app_watchdog_test PROPERTIES ENABLE_EXPORTS ON)
endif()
