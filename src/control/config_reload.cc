#include "control/config_reload.h"

#include "control/config_schema.h"

namespace purgeline {
namespace {

using config::Reload;

// keep(): one function for each section of the table, the innermost first.
#define SECTION(Struct)                                                               \
  [[maybe_unused]] void keep(const Struct& running, Struct& wanted, std::string path, \
                             std::vector<std::string>& differ) {
#define KEY(type, name, default_, minimum, maximum, reload, sentence)        \
  if (Reload::reload == Reload::restart && !(running.name == wanted.name)) { \
    differ.push_back(path + #name);                                          \
    wanted.name = running.name;                                              \
  }
#define SUB(Struct, name, sentence) keep(running.name, wanted.name, path + #name ".", differ);
// No key of an item of a list needs a restart; the list is taken as it is.
#define LIST(Struct, name, minimum, maximum, sentence)
#define END(Struct)        \
  static_cast<void>(path); \
  }
#include "purgeline/config.def"
#undef SECTION
#undef KEY
#undef SUB
#undef LIST
#undef END

}  // namespace

ConfigChange change_of(const Config& running, const Config& wanted) {
  ConfigChange change{wanted, {}};
  keep(running, change.config, "", change.restart);
  return change;
}

}  // namespace purgeline
