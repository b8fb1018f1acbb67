// Senders: what is kept about each address that sends HTCP: its rate, and which of its numbers
// came.
//
// Place:  inside the HTCP intake. Thread: its.
// Bound:  kMost senders; a new one beyond that takes the place of the one not heard for longest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "purgeline/ip.h"
#include "purgeline/types.h"

namespace purgeline {

// Numbers of one sender, counted up by one. A number that is still missing when one 64 higher has
// come is taken for lost; until then it may be late. A leap of more than kLeap is a restart.
class NumberWindow {
 public:
  static constexpr std::uint32_t kLeap = 1000;
  // Returns how many numbers are now taken for lost.
  std::uint32_t see(std::uint32_t number);

 private:
  static constexpr std::uint32_t kWidth = 64;
  bool started_{false};
  std::uint32_t highest_{0};
  std::uint64_t came_{~0ULL};  // bit i: highest_ - i
};

struct Sender {
  NumberWindow numbers;
  double tokens{0};
  MonoTime refilled{};
  MonoTime heard{};
};

class Senders {
 public:
  static constexpr std::size_t kMost = 1024;

  // `rate` packets a second, a second's worth at once; 0: no limit.
  explicit Senders(double rate) : rate_(rate) {}
  Sender& find(const IpAddress& address, MonoTime now);
  // Whether one more packet of this sender is within its rate.
  bool take(Sender& sender, MonoTime now) const;

 private:
  struct Hash {
    std::size_t operator()(const IpAddress& address) const;
  };
  void drop_oldest();

  double rate_;
  std::unordered_map<IpAddress, Sender, Hash> senders_;
};

}  // namespace purgeline
