#include "coalesce/key_table.h"

#include <algorithm>
#include <cstring>

#include "purgeline/check.h"

namespace purgeline {

KeyTable::KeyTable(std::uint32_t capacity, std::uint64_t bytes)
    : slab_(bytes), records_(capacity) {}

std::uint64_t KeyTable::room() const {
  return std::min<std::uint64_t>(std::uint64_t{records_.room()} + idle_.size(), slab_.room());
}

KeyTable::Held KeyTable::hold(const Key& key, const KeyText& text) {
  const auto found = numbers_.find(key);
  if (found != numbers_.end()) {
    const std::uint32_t index = found->second;
    Record& record = records_[index];
    if (record.users++ == 0) {
      idle_.remove(index);
      keep_text(record, text);
    }
    return {index, false};
  }
  std::uint32_t index = 0;
  if (records_.room() > 0) {
    index = records_.take();
  } else {
    index = idle_.first();
    CHECK(index != kNone);
    idle_.remove(index);
    numbers_.erase(records_[index].key);
  }
  Record& record = records_[index];
  record = Record{};
  record.key = key;
  record.users = 1;
  keep_text(record, text);
  numbers_.emplace(key, index);
  return {index, true};
}

void KeyTable::add_user(std::uint32_t index) {
  CHECK(records_[index].users > 0);
  ++records_[index].users;
}

void KeyTable::release(std::uint32_t index) {
  Record& record = records_[index];
  CHECK(record.users > 0);
  if (--record.users > 0) return;
  slab_.give(record.block);
  record.block = Slab::Block{};
  idle_.push_back(index);
}

KeyText KeyTable::text(std::uint32_t index) {
  const Record& record = records_[index];
  CHECK(record.users > 0 && record.block.valid());
  const char* bytes = slab_.bytes(record.block).data();
  const char* path = bytes + record.host_size;
  return {{bytes, record.host_size},
          {path, record.path_size},
          {path + record.path_size, record.id_size}};
}

void KeyTable::keep_text(Record& record, const KeyText& text) {
  CHECK(!record.block.valid());
  CHECK(!text.host.empty() && !text.path.empty());
  // An id is for people; one that is longer than any real one is cut.
  const std::string_view id = text.event_id.substr(0, 256);
  record.block = slab_.take(text.host.size() + text.path.size() + id.size());
  char* bytes = slab_.bytes(record.block).data();
  std::memcpy(bytes, text.host.data(), text.host.size());
  std::memcpy(bytes + text.host.size(), text.path.data(), text.path.size());
  if (!id.empty()) std::memcpy(bytes + text.host.size() + text.path.size(), id.data(), id.size());
  record.host_size = static_cast<std::uint16_t>(text.host.size());
  record.path_size = static_cast<std::uint16_t>(text.path.size());
  record.id_size = static_cast<std::uint16_t>(id.size());
}

}  // namespace purgeline
