// What intakes count: the fixed sets behind their labels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace purgeline {

// What became of one HTCP packet.
enum class HtcpOutcome : std::uint8_t {
  accepted,       // a CLR; handed to the log
  too_short,      // shorter than any CLR
  too_long,       // longer than the longest URL needs, or cut by the receiver's buffer
  bad_length,     // a length does not add up with the datagram or its neighbours
  bad_version,    // MAJOR is not 0
  not_clear,      // another operation than CLR
  not_request,    // a response, or reserved bits that a request has at zero
  signed_packet,  // AUTH is there: nothing here can check it
  bad_url,        // not a URL that can be purged
  not_allowed,    // its source is not in intake.htcp.allow_sources
  limited,        // beyond intake.htcp.rate of its source
  failed,         // the log did not take it
};
inline constexpr std::size_t kHtcpOutcomes = 12;
[[nodiscard]] const char* htcp_outcome_name(HtcpOutcome outcome);

// What became of one event that came by HTTP.
enum class IntakeOutcome : std::uint8_t { accepted, invalid, failed };
inline constexpr std::size_t kIntakeOutcomes = 3;
[[nodiscard]] const char* intake_outcome_name(IntakeOutcome outcome);

// The statuses that the HTTP intake answers with.
inline constexpr std::array<unsigned, 15> kIntakeAnswers{200, 201, 202, 207, 400, 401, 404, 405,
                                                         413, 415, 431, 500, 501, 503, 504};
inline constexpr std::size_t kIntakeStatuses = kIntakeAnswers.size() + 1;  // the last is "other"
[[nodiscard]] std::size_t intake_status_index(unsigned status);
[[nodiscard]] const char* intake_status_name(std::size_t index);

}  // namespace purgeline
