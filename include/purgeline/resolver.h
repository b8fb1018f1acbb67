// Resolver: host names to addresses. Implemented by a thread with the system's name service, and by
// the simulator.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "purgeline/result.h"
#include "purgeline/transport.h"

namespace purgeline {

// Implemented by dispatch's target.
class ResolveHandler {
 public:
  virtual ~ResolveHandler() = default;
  // Once per resolve() that was not cancelled, only from poll(). Never an empty list.
  virtual void on_resolved(Result<std::vector<Address>> addresses) = 0;
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // One at a time per handler. Never calls the handler before the next poll().
  virtual void resolve(std::string host, std::uint16_t port, ResolveHandler& handler) = 0;
  // The handler is not called any more; ignored when it waits for nothing.
  virtual void cancel(ResolveHandler& handler) = 0;
  // Hands out the answers that have come. They also wake the transport.
  virtual void poll() = 0;
};

}  // namespace purgeline
