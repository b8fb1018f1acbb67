purgeline_test(app_partitions_test
  SOURCES app_partitions_test.cc DEPS purgeline_pipeline LABELS unit)
