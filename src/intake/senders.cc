#include "intake/senders.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "purgeline/check.h"

namespace purgeline {

std::uint32_t NumberWindow::see(std::uint32_t number) {
  // Modulo 2^32: what is less than half the circle ahead is newer.
  const std::uint32_t ahead = number - highest_;
  if (!started_ || (ahead > kLeap && ahead <= ~0U - kLeap)) {
    started_ = true;
    highest_ = number;
    came_ = ~0ULL;
    return 0;
  }
  if (ahead > kLeap) {
    const std::uint32_t behind = highest_ - number;
    if (behind < kWidth) came_ |= 1ULL << behind;
    return 0;
  }
  if (ahead == 0) return 0;
  const std::uint64_t leaving = ahead >= kWidth ? ~0ULL : ~(~0ULL >> ahead);
  std::uint32_t lost = static_cast<std::uint32_t>(std::popcount(leaving & ~came_));
  if (ahead > kWidth) lost += ahead - kWidth;
  came_ = (ahead >= kWidth ? 0 : came_ << ahead) | 1ULL;
  highest_ = number;
  return lost;
}

std::size_t Senders::Hash::operator()(const IpAddress& address) const {
  return std::hash<std::string_view>{}(
      {reinterpret_cast<const char*>(address.data()), address.size()});
}

Sender& Senders::find(const IpAddress& address, MonoTime now) {
  const auto found = senders_.find(address);
  Sender* sender = found == senders_.end() ? nullptr : &found->second;
  if (sender == nullptr) {
    if (senders_.size() == kMost) drop_oldest();
    sender = &senders_[address];
    sender->tokens = rate_;
    sender->refilled = now;
  }
  sender->heard = now;
  CHECK(senders_.size() <= kMost);
  return *sender;
}

void Senders::drop_oldest() {
  const auto oldest = std::min_element(
      senders_.begin(), senders_.end(),
      [](const auto& a, const auto& b) { return a.second.heard < b.second.heard; });
  senders_.erase(oldest);
}

bool Senders::take(Sender& sender, MonoTime now) const {
  if (rate_ <= 0) return true;
  const double passed = std::chrono::duration<double>(now - sender.refilled).count();
  sender.tokens = std::min(rate_, sender.tokens + passed * rate_);
  sender.refilled = now;
  if (sender.tokens < 1) return false;
  sender.tokens -= 1;
  return true;
}

}  // namespace purgeline
