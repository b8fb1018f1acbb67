purgeline_library(config
  SOURCES config_address.cc config_bind.cc config_check.cc config_docs.cc config_error.cc
          config_file.cc config_intakes.cc config_load.cc config_merge.cc config_relations.cc config_reload.cc config_schema.cc config_show.cc
          config_text.cc config_time.cc config_value.cc config_yaml.cc
  DEPS deps::yaml deps::re2)
