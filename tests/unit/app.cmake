purgeline_test(app_test SOURCES app_dead_letter_test.cc DEPS purgeline_sim LABELS unit)
