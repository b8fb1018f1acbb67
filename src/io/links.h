// LinkSlots: the numbering of links that both transports share.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "purgeline/check.h"
#include "purgeline/transport.h"

namespace purgeline {

// Link must have a member `std::uint32_t generation` and be default-constructible. Links never
// move: the kernel knows their buffers by address. Bound: `most` links.
template <class Link>
class LinkSlots {
 public:
  explicit LinkSlots(std::size_t most) : most_(most) { CHECK(most > 0); }

  LinkId take() {
    std::uint32_t slot = 0;
    if (free_.empty()) {
      CHECK(links_.size() < most_);
      slot = static_cast<std::uint32_t>(links_.size());
      links_.push_back(std::make_unique<Link>());
      used_.push_back(false);
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    CHECK(!used_[slot]);
    used_[slot] = true;
    return {slot, ++links_[slot]->generation};
  }
  void give(LinkId id) {
    CHECK(find(id) != nullptr);
    used_[id.slot] = false;
    free_.push_back(id.slot);
  }
  // Null for a link that is gone.
  [[nodiscard]] Link* find(LinkId id) {
    if (id.slot >= links_.size() || !used_[id.slot]) return nullptr;
    Link* link = links_[id.slot].get();
    return link->generation == id.generation ? link : nullptr;
  }
  [[nodiscard]] std::size_t used() const { return links_.size() - free_.size(); }
  // Each link that is in use.
  template <class Visit>
  void for_each(Visit visit) {
    for (std::uint32_t slot = 0; slot < links_.size(); ++slot) {
      if (used_[slot]) visit(LinkId{slot, links_[slot]->generation}, *links_[slot]);
    }
  }

 private:
  std::size_t most_;
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<bool> used_;
  std::vector<std::uint32_t> free_;
};

inline constexpr std::size_t kReceiveBuffer =
    64 * 1024;  // collects a tick's answers in one receive

}  // namespace purgeline
