purgeline_test(app_test SOURCES app_absences_test.cc app_readings_test.cc
  DEPS purgeline_pipeline LABELS unit)
purgeline_test(app_partitions_test
  SOURCES app_partitions_test.cc DEPS purgeline_pipeline LABELS unit)
purgeline_test(app_shard_test
  SOURCES app_shard_test.cc DEPS purgeline_shard purgeline_config LABELS unit TIMEOUT 120)
