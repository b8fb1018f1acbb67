// TestDisk: a disk under SQLite that can hang, refuse, and lose its power.
//
// It stands in for SQLite's own VFS while it lives, for the whole process. Reads and writes go to
// real files. What has been written and not synced is kept apart as well, so that after a power cut
// the files can be put back as a disk might leave them: synced writes are there, of the others any
// part.
//
// Thread: any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace purgeline::store_test {

class TestDisk {
 public:
  TestDisk();
  ~TestDisk();
  TestDisk(const TestDisk&) = delete;
  TestDisk& operator=(const TestDisk&) = delete;

  // Every operation waits until thaw().
  void freeze();
  void thaw();
  // Every operation fails with an I/O error while set.
  void refuse(bool on);

  // The power goes after so many more operations: from then on every operation fails.
  void cut_after(std::uint64_t operations);
  [[nodiscard]] bool is_cut() const;
  [[nodiscard]] std::uint64_t operations() const;
  // Writes the files below `folder` as the disk has them after the cut, to `target`. `seed` decides
  // which unsynced writes, whole or torn, made it.
  void leave(const std::string& folder, const std::string& target, std::uint64_t seed) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace purgeline::store_test
