// KeyTable: one record per URL that has unfinished events or was purged not long ago.
//
// Place:  under the coalescer.
// Thread: the shard's.
// Bound:  `capacity` keys and the slab's bytes. When a new key finds no room, the key that has been
// idle
//         longest is forgotten: that is always safe, it costs one purge.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <string_view>
#include <vector>

#include "coalesce/index_list.h"
#include "coalesce/pool.h"
#include "coalesce/slab.h"
#include "purgeline/key.h"
#include "purgeline/types.h"

namespace purgeline {

// The URL's bytes, as the first unfinished event brought them.
struct KeyText {
  std::string_view host;
  std::string_view path;
  std::string_view event_id;
};

class KeyTable {
 public:
  KeyTable(std::uint32_t capacity, std::uint64_t bytes);

  // The number of the key's record, made when it is new, with one more user. REQUIRES: room() > 0.
  struct Held {
    std::uint32_t index;
    bool made;  // new: the caller's own state for this number starts afresh
  };
  Held hold(const Key& key, const KeyText& text);
  void add_user(std::uint32_t index);
  // One user less. Without users the record is idle: its bytes are let go, its number stays.
  void release(std::uint32_t index);

  // REQUIRES: the record has users.
  [[nodiscard]] KeyText text(std::uint32_t index);
  [[nodiscard]] bool held(std::uint32_t index) const { return records_[index].users > 0; }
  // A number that belongs to the key, kNone when it is made: where its fences begin.
  [[nodiscard]] std::uint32_t& first_fence(std::uint32_t index) {
    return records_[index].first_fence;
  }
  [[nodiscard]] std::uint32_t first_fence(std::uint32_t index) const {
    return records_[index].first_fence;
  }
  // How many new keys are certain to fit.
  [[nodiscard]] std::uint64_t room() const;
  // How many texts of any length are certain to fit.
  [[nodiscard]] std::uint64_t byte_room() const { return slab_.room(); }
  [[nodiscard]] std::uint64_t used_bytes() const { return slab_.used_bytes(); }
  [[nodiscard]] std::uint32_t size() const { return records_.used(); }

 private:
  struct Record {
    Key key;
    Slab::Block block;
    std::uint32_t users{0};
    std::uint32_t first_fence{kNone};
    std::uint16_t host_size{0};
    std::uint16_t path_size{0};
    std::uint16_t id_size{0};
    ListPlace place;  // among the idle ones
  };
  void keep_text(Record& record, const KeyText& text);

  Slab slab_;
  Pool<Record> records_;
  boost::unordered_flat_map<Key, std::uint32_t, KeyHash> numbers_;
  IndexList<Record, &Record::place> idle_{records_};  // longest idle first
};

}  // namespace purgeline
