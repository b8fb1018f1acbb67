purgeline_test(intake_test
  SOURCES intake_http_test.cc intake_htcp_test.cc intake_posted_test.cc intake_socket_test.cc
          intake_metrics_test.cc
  DEPS purgeline_intake purgeline_metrics LABELS unit)
purgeline_test(intake_server_test SOURCES intake_server_test.cc
  DEPS purgeline_intakes deps::boost LABELS unit)
