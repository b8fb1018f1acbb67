#include "store/dead_letter_list.h"

#include <optional>
#include <utility>

#include "store/database.h"
#include "store/schema.h"

namespace purgeline {
namespace {

constexpr const char* kList = R"sql(
SELECT id, at_ns, target, layer, host, path, reason, status, attempts, topic, "partition", "offset",
       event_id
FROM dead_letter ORDER BY id DESC LIMIT ?1 OFFSET ?2
)sql";

constexpr const char* kCount = R"sql(
SELECT reason, count(*) AS letters FROM dead_letter GROUP BY reason ORDER BY letters DESC, reason
)sql";

// Empty when the file is there but no daemon has made its tables yet.
Result<std::optional<Database>> open_to_read(const std::string& path) {
  DatabaseOptions options;
  options.read_only = true;
  Result<Database> database = Database::open(path, options);
  if (!database) return tl::unexpected<Error>(std::move(database.error()));
  Result<std::int64_t> version =
      schema_version(*database, static_cast<std::int64_t>(state_steps().size()));
  if (!version) return tl::unexpected<Error>(std::move(version.error()));
  if (*version == 0) return std::optional<Database>{};
  return std::optional<Database>(std::move(*database));
}

DeadLetter read_letter(const Statement& row) {
  DeadLetter letter;
  letter.id = static_cast<std::uint64_t>(row.integer(0));
  letter.at = WallTime{Duration{row.integer(1)}};
  letter.target = row.text(2);
  letter.layer = row.text(3);
  letter.host = row.text(4);
  letter.path = row.text(5);
  letter.reason = row.text(6);
  letter.status = static_cast<int>(row.integer(7));
  letter.attempts = static_cast<std::uint32_t>(row.integer(8));
  letter.partition.topic = row.text(9);
  letter.partition.partition = static_cast<std::int32_t>(row.integer(10));
  letter.offset = Offset{row.integer(11)};
  letter.event_id = row.text(12);
  return letter;
}

// Runs `sql` and makes one T of each row.
template <class T, class Bind, class Read>
Result<std::vector<T>> collect(const std::string& path, const char* sql, Bind bind, Read read) {
  std::vector<T> rows;
  Result<std::optional<Database>> database = open_to_read(path);
  if (!database) return tl::unexpected<Error>(std::move(database.error()));
  if (!*database) return rows;
  Result<Statement> statement = (*database)->prepare(sql);
  if (!statement) return tl::unexpected<Error>(std::move(statement.error()));
  bind(*statement);
  while (true) {
    Result<bool> row = statement->step();
    if (!row) return tl::unexpected<Error>(std::move(row.error()));
    if (!*row) return rows;
    rows.push_back(read(*statement));
  }
}

}  // namespace

Result<std::vector<DeadLetter>> list_dead_letters(const std::string& path, std::uint32_t limit,
                                                  std::uint64_t skip) {
  const auto bind = [limit, skip](Statement& statement) {
    statement.bind(1, std::int64_t{limit}).bind(2, static_cast<std::int64_t>(skip));
  };
  return collect<DeadLetter>(path, kList, bind, read_letter);
}

Result<std::vector<ReasonCount>> count_dead_letters(const std::string& path) {
  const auto read = [](const Statement& row) {
    return ReasonCount{row.text(0), static_cast<std::uint64_t>(row.integer(1))};
  };
  return collect<ReasonCount>(
      path, kCount, [](Statement&) {}, read);
}

}  // namespace purgeline
