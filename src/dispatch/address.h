// Endpoints that need no name service: Unix sockets and literal addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "purgeline/config.h"
#include "purgeline/transport.h"

namespace purgeline {

// "192.0.2.1" or "2001:db8::1"; empty for anything else, so for host names.
[[nodiscard]] std::optional<Address> literal_address(std::string_view host, std::uint16_t port);

// Empty when the endpoint is a host name.
[[nodiscard]] std::optional<Address> fixed_address(const Endpoint& endpoint);

}  // namespace purgeline
