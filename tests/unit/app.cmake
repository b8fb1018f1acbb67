purgeline_test(app_test SOURCES app_absences_test.cc app_readings_test.cc
  DEPS purgeline_pipeline LABELS unit)
