purgeline_test(base_errno_test SOURCES base_errno_test.cc DEPS purgeline_base LABELS unit)
