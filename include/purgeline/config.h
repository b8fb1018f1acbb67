// Config: an immutable value, made from config.def and handed to each part as the sub-struct it
// needs.
//
// It is made only by control/config, which has checked every range; consumers CHECK what they rely
// on.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "purgeline/types.h"

namespace purgeline {

// host:port, [v6]:port or unix:/path, syntactically checked and not resolved.
struct Endpoint {
  std::string text;  // as written, normalised: what metrics and logs print
  std::string host;  // name or literal without brackets; empty for a Unix socket
  std::uint16_t port{0};
  std::string unix_path;  // empty unless unix:
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// Where reading starts without a usable position.
struct StartEarliest {
  friend bool operator==(StartEarliest, StartEarliest) = default;
};
struct StartNow {
  friend bool operator==(StartNow, StartNow) = default;
};
using StartAt = std::variant<StartEarliest, StartNow, Duration /*back from now*/, WallTime>;

// A text that stands in the configuration, or in a file of its own, as secrets should.
struct TextOrFile {
  std::string text;  // also when it was read from the file
  std::string file;  // absolute path; empty when the text was written as it is
  friend bool operator==(const TextOrFile&, const TextOrFile&) = default;
};

// A part of all.
struct Share {
  std::uint32_t millionths{0};
  friend bool operator==(Share, Share) = default;
};

enum class IoKind : std::uint8_t { automatic, uring, epoll };
enum class LogFormat : std::uint8_t { text, json };
enum class LogLevel : std::uint8_t { debug, info, warning, error };
enum class MetricsCompat : std::uint8_t { off, purged };

namespace config_types {
using duration = Duration;
using optional_duration = std::optional<Duration>;
using delay_list = std::vector<Duration>;
using size = std::uint64_t;     // bytes
using percent = std::uint32_t;  // 0 to 100
using optional_share = std::optional<Share>;
using count = std::uint64_t;
using text = std::string;
using text_list = std::vector<std::string>;
using text_map = std::map<std::string, TextOrFile>;
using boolean = bool;
using address = Endpoint;
using address_list = std::vector<Endpoint>;
using optional_address = std::optional<Endpoint>;
using start_at = StartAt;
using io_kind = IoKind;
using log_format = LogFormat;
using log_level = LogLevel;
using metrics_compat = MetricsCompat;
}  // namespace config_types

// The structs. Their values before reading are zero; control/config writes the defaults of the
// table.
#define SECTION(Struct) struct Struct {
#define KEY(type, name, default_, minimum, maximum, reload, sentence) config_types::type name{};
#define SUB(Struct, name, sentence) Struct name{};
#define LIST(Struct, name, minimum, maximum, sentence) std::vector<Struct> name{};
#define END(Struct)                                               \
  friend bool operator==(const Struct&, const Struct&) = default; \
  }                                                               \
  ;
#include "purgeline/config.def"
#undef SECTION
#undef KEY
#undef SUB
#undef LIST
#undef END

}  // namespace purgeline
