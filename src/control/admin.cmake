purgeline_library(metrics
  SOURCES metrics_text.cc metrics_families.cc metrics_compat.cc metrics_docs.cc metrics_process.cc
  DEPS deps::prometheus)
purgeline_library(log
  SOURCES log_escape.cc log_output.cc log_folding.cc
  DEPS deps::spdlog deps::fmt)
purgeline_library(admin
  SOURCES http_framing.cc http_server.cc admin_server.cc admin_pages.cc supervisor.cc control_thread.cc thread_stack.cc
  PUBLIC_DEPS purgeline_metrics purgeline_log
  DEPS deps::boost Threads::Threads ${CMAKE_DL_LIBS})
if(PURGELINE_SANITIZE MATCHES thread)
  # g++ warns that the thread sanitizer does not see Asio's fences; Asio has locks beside them.
  target_compile_options(purgeline_admin PUBLIC -Wno-tsan)
endif()
