purgeline_test(sources_start_position_test
  SOURCES sources_start_position_test.cc DEPS purgeline_sources LABELS unit)
purgeline_test(sources_kafka_test
  SOURCES sources_kafka_test.cc DEPS purgeline_sources LABELS unit)
# librdkafka's threads are made by thrd_create(), which the thread sanitizer does not know.
if(NOT PURGELINE_SANITIZE MATCHES thread)
  purgeline_test(sources_outbox_test
    SOURCES sources_outbox_test.cc DEPS purgeline_sources LABELS unit)
endif()
purgeline_test(sources_peer_codec_test
  SOURCES sources_peer_codec_test.cc DEPS purgeline_sources LABELS unit)
