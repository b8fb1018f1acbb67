#include <algorithm>
#include <string>

#include "control/config_check.h"
#include "control/config_load.h"
#include "control/config_schema.h"
#include "control/config_show.h"
#include "control/config_value.h"

namespace purgeline {
namespace config {
namespace {

constexpr const char* kHead = R"(# Configuration

<!-- Written by `purgeline config docs` from include/purgeline/config.def; change that instead. -->

One YAML file, `/etc/purgeline/purgeline.yaml`, or the one given by `-c`. An example:

```yaml
)";

constexpr const char* kRules = R"(```

`purgeline config check` reports every mistake of every file in one run, and exits with 78 when
there is one. `purgeline config show` prints the values in force, and where each comes from.

## Files and the environment

- `conf.d/*.yaml` beside the file are read after it, in the order of their names' bytes. Of two
  values the later one counts, sections are joined key by key, and lists are appended to.
- A variable sets one value, after all files: `PURGELINE__ADMIN__LISTEN=127.0.0.1:9100`,
  `PURGELINE__PURGE__LAYERS__0__DEPTH=32`, `PURGELINE__LOG__KAFKA__TOPICS__0=purges`. An index one
  past the end adds an item. Properties of librdkafka have `_` for `.`:
  `PURGELINE__LOG__KAFKA__PROPERTIES__SASL_PASSWORD`. No text of a file is replaced by variables.
- A property of librdkafka may be `{file: /path}`: its value is then the text of that file, without
  the line end it ends with, read when the configuration is. Keep secrets there, readable by the
  daemon's user only: `sasl.password: {file: /run/credentials/purgeline.service/kafka}` with
  `LoadCredential=kafka:/etc/purgeline/kafka` in the unit. `config show` prints the path.
- Values of librdkafka's properties with `password`, `secret`, `.pem` or `.config` in their names
  are never printed.
- Unknown keys, keys that stand twice, aliases, anchors, tags and second documents are errors. A
  file has at most 1 MiB, 10000 values and 16 levels.

## Values

| Kind | Written as |
|---|---|
| duration | a whole number and `ms`, `s`, `m`, `h` or `d`: `100ms`, `2s`, `24h` |
| size | bytes, or a whole number and `KiB`, `MiB`, `GiB` or `TiB`: `64MiB` |
| percent | a whole number and `%`: `10%` |
| share | a number with up to four places and `%`: `0.1%` |
| address | `host:port`, `[v6]:port` or `unix:/path`; quote what begins with a bracket |
| date | `2026-01-31` or `2026-01-31T12:00:00Z`, always UTC |
| `off` | with or without quotes; `false` and `no` mean the same |

A section whose first key may be `off` may be `off` itself: `fence: off` is short for
`fence: {fetch_time: off}`.

*Reload* says when a change counts: `now` at a SIGHUP, `restart` at the next start.
)";

std::string fallback_text(const KeySpec& key) {
  if (key.is_required()) return "required";
  if (key.fallback[0] == '\0') return "empty";
  return "`" + std::string(key.fallback) + "`";
}

void add_section(const SchemaNode& section, const std::string& path, std::string& out) {
  const bool has_keys = std::any_of(section.children.begin(), section.children.end(),
                                    [](const auto& c) { return c.kind == SchemaNode::Kind::key; });
  if (has_keys) {
    out += "\n## " + (path.empty() ? std::string("Top level") : "`" + path + "`") + "\n";
    if (!section.sentence.empty()) out += "\n" + section.sentence + "\n";
    if (section.kind == SchemaNode::Kind::list) {
      out += "\nA list of " + std::to_string(section.minimum) + " to " +
             std::to_string(section.maximum) + " sections.\n";
    }
    out += "\n| Key | Default | Allowed | Reload | Meaning |\n|---|---|---|---|---|\n";
  }
  for (const SchemaNode& child : section.children) {
    if (child.kind != SchemaNode::Kind::key) continue;
    const KeySpec& key = child.key;
    out += "| `" + child.name + "` | " + fallback_text(key) + " | " + allowed_text(key) + " | " +
           (key.reload == Reload::now ? "now" : "restart") + " | " + child.sentence + " |\n";
  }
  for (const SchemaNode& child : section.children) {
    if (child.kind == SchemaNode::Kind::section)
      add_section(child, join_path(path, child.name), out);
    if (child.kind == SchemaNode::Kind::list) {
      add_section(child, join_path(path, child.name) + "[]", out);
    }
  }
}

}  // namespace
}  // namespace config

std::string config_example() {
  return R"(log:
  kafka:
    brokers: [kafka1001:9092, kafka1002:9092]
    topics: [eqiad.resource-purge, codfw.resource-purge]
purge:
  hosts: {allow: ['*.wikipedia.org', upload.wikimedia.org]}
  layers:
    - {name: backend, targets: ['127.0.0.1:3128']}
    - {name: frontend, targets: ['unix:/run/varnish/purge.sock'], connections: 2}
)";
}

std::string config_docs() {
  std::string out = config::kHead + config_example() + config::kRules;
  config::add_section(config::make_schema(), "", out);
  return out;
}

}  // namespace purgeline
