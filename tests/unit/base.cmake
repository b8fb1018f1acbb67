purgeline_test(base_errno_test SOURCES base_errno_test.cc DEPS purgeline_base LABELS unit)
purgeline_test(base_text_test SOURCES base_text_test.cc DEPS purgeline_base LABELS unit)
