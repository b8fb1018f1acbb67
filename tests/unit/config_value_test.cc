// Scalars: what is read as what, as rows of text.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "control/config_text.h"
#include "control/config_value.h"

namespace purgeline::config {
namespace {

constexpr KeySpec spec(ValueType type, const char* minimum = "", const char* maximum = "") {
  return {"key", type, "", minimum, maximum, Reload::now, ""};
}

// The value printed again, or "! complaint".
std::string read(const KeySpec& key, const std::string& written) {
  const auto value = parse_value(key, written);
  if (!value) return "! " + value.error().message;
  if (value->off) return "off";
  switch (key.type) {
    case ValueType::duration:
    case ValueType::optional_duration:
      return duration_text(Duration(static_cast<std::int64_t>(value->number)));
    case ValueType::size:
      return size_text(value->number);
    case ValueType::optional_share:
      return share_text(Share{static_cast<std::uint32_t>(value->number)});
    case ValueType::count:
    case ValueType::percent:
      return std::to_string(value->number);
    case ValueType::text:
      return value->text;
    case ValueType::start_at:
      return start_text(value->start);
    case ValueType::address:
    case ValueType::optional_address:
      return value->endpoint.text;
    default:
      return word_text(key.type, value->number);
  }
}

struct Row {
  ValueType type;
  std::string written;
  std::string expected;
};

const std::vector<Row> kReads{
    {ValueType::duration, "100ms", "100ms"},
    {ValueType::duration, "1000ms", "1s"},
    {ValueType::duration, "120s", "2m"},
    {ValueType::duration, "24h", "24h"},
    {ValueType::duration, "7d", "7d"},
    {ValueType::duration, "1d", "24h"},
    {ValueType::duration, "0s", "0s"},
    {ValueType::duration, "0", "! has no unit"},
    {ValueType::duration, "1h30m", "! is not a duration"},
    {ValueType::duration, "-1s", "! is not a duration"},
    {ValueType::duration, "s", "! is not a duration"},
    {ValueType::duration, "", "! is not a duration"},
    {ValueType::duration, "106751d", "106751d"},
    {ValueType::duration, "106752d", "! is too large"},
    {ValueType::duration, "9223372036854775808s", "! is too large"},
    {ValueType::duration, "18446744073709551617s", "! is too large"},
    {ValueType::optional_duration, "off", "off"},
    {ValueType::optional_duration, "false", "off"},
    {ValueType::optional_duration, "No", "off"},
    {ValueType::optional_duration, "none", "! is not a duration or off"},
    {ValueType::size, "64MiB", "64MiB"},
    {ValueType::size, "4GiB", "4GiB"},
    {ValueType::size, "1024MiB", "1GiB"},
    {ValueType::size, "1000", "1000"},
    {ValueType::size, "0", "0"},
    {ValueType::size, "64 MiB", "! is not a size"},
    {ValueType::size, "8388608TiB", "! is too large"},
    {ValueType::percent, "10%", "10"},
    {ValueType::percent, "10", "! has no unit"},
    {ValueType::optional_share, "0.1%", "0.1%"},
    {ValueType::optional_share, "0.0001%", "0.0001%"},
    {ValueType::optional_share, "12.50%", "12.5%"},
    {ValueType::optional_share, "100%", "100%"},
    {ValueType::optional_share, "off", "off"},
    {ValueType::optional_share, "0.1", "! has no unit"},
    {ValueType::optional_share, "0.00001%", "! has more than four places"},
    {ValueType::optional_share, "100.1%", "! is too large"},
    {ValueType::optional_share, "101%", "! is too large"},
    {ValueType::optional_share, "00.1%", "! has leading zeros"},
    {ValueType::optional_share, ".1%", "! is not a share or off"},
    {ValueType::optional_share, "1.%", "! is not a share or off"},
    {ValueType::optional_share, "-1%", "! is not a share or off"},
    {ValueType::optional_share, "some", "! is not a share or off"},
    {ValueType::count, "1000000", "1000000"},
    {ValueType::count, "010", "! has leading zeros"},
    {ValueType::count, "0x10", "! is not a whole number"},
    {ValueType::count, "1e6", "! is not a whole number"},
    {ValueType::count, "1_000", "! is not a whole number"},
    {ValueType::address, "Cache1.Example.org:80", "cache1.example.org:80"},
    {ValueType::address, "127.0.0.1:65535", "127.0.0.1:65535"},
    {ValueType::address, "[0:0:0:0:0:0:0:1]:80", "[::1]:80"},
    {ValueType::address, "[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.1]:80"},
    {ValueType::address, "unix:/run/varnish/purge.sock", "unix:/run/varnish/purge.sock"},
    {ValueType::address, "unix:/" + std::string(106, 'x'), "unix:/" + std::string(106, 'x')},
    {ValueType::address, "unix:/" + std::string(107, 'x'), "! has a path of more than 107 bytes"},
    {ValueType::address, "unix:/a b", "! has a path with spaces or controls"},
    {ValueType::address, "[::1]:080000", "! has no port from 1 to 65535"},
    {ValueType::address, "[::1%lo]:80", "! has no IPv6 address in the brackets"},
    {ValueType::address, "a..b:80", "! has no valid host name"},
    {ValueType::address, "1.2.3:80", "! has no valid IPv4 address"},
    {ValueType::address, "host:80\n", "! has no port from 1 to 65535"},
    {ValueType::address, std::string("ho\0st:80", 8), "! has no valid host name"},
    {ValueType::optional_address, "off", "off"},
    {ValueType::start_at, "earliest", "earliest"},
    {ValueType::start_at, "now", "now"},
    {ValueType::start_at, "24h", "24h"},
    {ValueType::start_at, "2026-01-31", "2026-01-31T00:00:00Z"},
    {ValueType::start_at, "2026-01-31T12:34:56Z", "2026-01-31T12:34:56Z"},
    {ValueType::start_at, "1970-01-01", "1970-01-01T00:00:00Z"},
    {ValueType::start_at, "2199-12-31T23:59:59Z", "2199-12-31T23:59:59Z"},
    {ValueType::start_at, "2026-02-29", "! is not a place to start"},
    {ValueType::start_at, "2026-01-31T24:00:00Z", "! is not a place to start"},
    {ValueType::start_at, "2026-01-31T12:00:00", "! is not a place to start"},
    {ValueType::start_at, "2026-13-01", "! is not a place to start"},
    {ValueType::io_kind, "auto", "auto"},
    {ValueType::io_kind, "uring", "uring"},
    {ValueType::io_kind, "epoll", "epoll"},
    {ValueType::io_kind, "off", "! is not known"},
    {ValueType::log_format, "json", "json"},
    {ValueType::log_level, "warning", "warning"},
    {ValueType::metrics_compat, "false", "off"},
    {ValueType::metrics_compat, "purged", "purged"},
    {ValueType::boolean, "true", "true"},
    {ValueType::text, "caf\xC3\xA9", "caf\xC3\xA9"},
    {ValueType::text, "\xC3", "! is not UTF-8"},
    {ValueType::text, "a\tb", "! contains control characters"},
};

TEST(ConfigValue, ReadsWhatPeopleWrite) {
  for (const Row& row : kReads)
    EXPECT_EQ(read(spec(row.type), row.written), row.expected) << row.written;
}

TEST(ConfigValue, LimitsAreInside) {
  using T = ValueType;
  EXPECT_EQ(read(spec(T::duration, "1s", "1m"), "1s"), "1s");
  EXPECT_EQ(read(spec(T::duration, "1s", "1m"), "60s"), "1m");
  EXPECT_EQ(read(spec(T::duration, "1s", "1m"), "999ms"), "! is too small");
  EXPECT_EQ(read(spec(T::duration, "1s", "1m"), "61s"), "! is too large");
  EXPECT_EQ(read(spec(T::optional_duration, "1s", "1m"), "off"), "off");
  EXPECT_EQ(read(spec(T::size, "1MiB", ""), "1048575"), "! is too small");
  EXPECT_EQ(read(spec(T::text, "1", "2"), ""), "! is too short");
  EXPECT_EQ(read(spec(T::text, "1", "2"), "\xC3\xA9\xC3\xA9"), "\xC3\xA9\xC3\xA9");
  EXPECT_EQ(read(spec(T::text, "1", "2"), "abc"), "! is too long");
}

TEST(ConfigValue, SaysWhatWasMeant) {
  using T = ValueType;
  const std::vector<Row> rows{
      {T::duration, "10 s", "10s"},
      {T::duration, "10sec", "10s"},
      {T::duration, "10msec", "10ms"},
      {T::duration, "5min", "5m"},
      {T::duration, "2 hours", "2h"},
      {T::duration, "10", ""},
      {T::size, "64MB", "64MiB"},
      {T::size, "64m", "64MiB"},
      {T::size, "4 GiB", "4GiB"},
      {T::percent, "10", "10%"},
      {T::start_at, "latest", "now"},
      {T::start_at, "erliest", "earliest"},
      {T::log_level, "warn", "warning"},
      {T::io_kind, "iouring", "uring"},
      {T::address, "::1:80", "[::1]:80"},
      {T::address, "http://a:80/x", "a:80"},
      {T::address, "/run/x", "unix:/run/x"},
  };
  for (const Row& row : rows) {
    const auto value = parse_value(spec(row.type), row.written);
    ASSERT_FALSE(value.has_value()) << row.written;
    EXPECT_EQ(value.error().suggestion, row.expected) << row.written;
  }
}

TEST(ConfigText, NearestNeedsASlipAndNotAnotherWord) {
  const std::vector<std::string> names{"brokers", "topics", "group", "start_at"};
  EXPECT_EQ(nearest("brokrs", names), "brokers");
  EXPECT_EQ(nearest("borkers", names), "brokers");
  EXPECT_EQ(nearest("Topics", names), "topics");
  EXPECT_EQ(nearest("start-at", names), "start_at");
  EXPECT_EQ(nearest("consumer", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest(std::string(10000, 'a'), names), "");
}

TEST(ConfigText, PrintableLeavesNothingForATerminal) {
  EXPECT_EQ(printable("a\x1b[31m\a\r"), "a\\x1b[31m\\x07\\x0d");
  EXPECT_EQ(printable("\xE2\x80\xAEx"), "\\u202ex");
  EXPECT_EQ(printable("\xff\xC0\x80"), "\\xff\\xc0\\x80");
  EXPECT_EQ(printable("gr\xC3\xB6\xC3\x9F"), "gr\xC3\xB6\xC3\x9F");
  EXPECT_EQ(printable(std::string(500, 'a')).size(), 123U);
}

TEST(ConfigText, SecretsAreCutOff) {
  EXPECT_EQ(without_secrets("sasl.password: x"), "sasl.password: ***");
  EXPECT_EQ(without_secrets("{\"SASL.Password\": x, b: 1}"), "{\"SASL.Password\": ***");
  EXPECT_EQ(without_secrets("ssl.ca.location: /etc/ca.pem"), "ssl.ca.location: /etc/ca.pem");
  EXPECT_TRUE(is_secret("ssl.key.password"));
  EXPECT_TRUE(is_secret("ssl.key.pem"));
  EXPECT_TRUE(is_secret("sasl.oauthbearer.client.secret"));
  EXPECT_FALSE(is_secret("security.protocol"));
}

}  // namespace
}  // namespace purgeline::config
