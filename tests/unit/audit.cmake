purgeline_test(audit_test SOURCES audit_copy_test.cc audit_fetch_time_test.cc audit_test.cc
  DEPS purgeline_audit LABELS unit)
purgeline_test(app_audit_test SOURCES app_audit_link_test.cc app_audit_test.cc
  DEPS purgeline_pipeline LABELS unit)
