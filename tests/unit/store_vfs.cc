#include "unit/store_vfs.h"

#include <sqlite3.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <vector>

#include "purgeline/check.h"

namespace purgeline::store_test {
namespace {

struct Write {
  bool truncate{false};
  sqlite3_int64 at{0};
  std::string bytes;
};

// A file as the disk has it: what was synced, and what was written since.
struct Image {
  std::string synced;
  std::vector<Write> pending;
};

void apply(std::string& content, const Write& write, std::size_t bytes) {
  if (write.truncate) {
    content.resize(static_cast<std::size_t>(write.at), '\0');
    return;
  }
  const auto at = static_cast<std::size_t>(write.at);
  if (content.size() < at + bytes) content.resize(at + bytes, '\0');
  std::memcpy(content.data() + at, write.bytes.data(), bytes);
}

}  // namespace

struct TestDisk::State {
  struct File {
    sqlite3_file base;
    State* state;
    Image* image;
    sqlite3_file* real;  // behind this struct
  };

  sqlite3_vfs* real{nullptr};
  sqlite3_vfs vfs{};
  sqlite3_io_methods methods{};
  mutable std::mutex mutex;
  std::condition_variable thawed;
  bool frozen{false};
  bool refusing{false};
  bool cut{false};
  std::uint64_t count{0};
  std::uint64_t cut_at{UINT64_MAX};
  std::map<std::string, Image> images;

  // True when the operation may go on.
  bool pass() {
    std::unique_lock lock(mutex);
    thawed.wait(lock, [this] { return !frozen; });
    if (++count >= cut_at) cut = true;
    return !refusing && !cut;
  }
  void write(Image* image, Write write) {
    const std::lock_guard lock(mutex);
    if (image != nullptr && !cut) image->pending.push_back(std::move(write));
  }
  static File& of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    State& state = *static_cast<State*>(vfs->pAppData);
    File& made = of(file);
    made.base.pMethods = nullptr;
    if (!state.pass()) return SQLITE_CANTOPEN;
    made.state = &state;
    made.image = nullptr;
    made.real = reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + sizeof(File));
    const int rc = state.real->xOpen(state.real, name, made.real, flags, out);
    if (rc != SQLITE_OK) return rc;
    if (name != nullptr) {
      const std::lock_guard lock(state.mutex);
      made.image = &state.images[name];
    }
    made.base.pMethods = &state.methods;
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* vfs, const char* name, int sync) {
    State& state = *static_cast<State*>(vfs->pAppData);
    if (!state.pass()) return SQLITE_IOERR_DELETE;
    {
      const std::lock_guard lock(state.mutex);
      if (!state.cut) state.images[name] = Image();  // files of ours stay open: never erased
    }
    return state.real->xDelete(state.real, name, sync);
  }

  static int close(sqlite3_file* file) { return of(file).real->pMethods->xClose(of(file).real); }
  static int read(sqlite3_file* file, void* out, int size, sqlite3_int64 at) {
    if (!of(file).state->pass()) return SQLITE_IOERR_READ;
    return of(file).real->pMethods->xRead(of(file).real, out, size, at);
  }
  static int write_file(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
    if (!of(file).state->pass()) return SQLITE_IOERR_WRITE;
    const auto* bytes = static_cast<const char*>(data);
    of(file).state->write(of(file).image,
                          {false, at, std::string(bytes, static_cast<std::size_t>(size))});
    return of(file).real->pMethods->xWrite(of(file).real, data, size, at);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    if (!of(file).state->pass()) return SQLITE_IOERR_TRUNCATE;
    of(file).state->write(of(file).image, {true, size, {}});
    return of(file).real->pMethods->xTruncate(of(file).real, size);
  }
  static int sync(sqlite3_file* file, int /*flags*/) {
    State& state = *of(file).state;
    if (!state.pass()) return SQLITE_IOERR_FSYNC;
    const std::lock_guard lock(state.mutex);
    if (state.cut || of(file).image == nullptr) return SQLITE_IOERR_FSYNC;
    for (const Write& write : of(file).image->pending) {
      apply(of(file).image->synced, write, write.bytes.size());
    }
    of(file).image->pending.clear();
    return SQLITE_OK;  // the real disk need not take part
  }
  static int size(sqlite3_file* file, sqlite3_int64* out) {
    if (!of(file).state->pass()) return SQLITE_IOERR_FSTAT;
    return of(file).real->pMethods->xFileSize(of(file).real, out);
  }
  static int lock(sqlite3_file* file, int level) {
    return of(file).real->pMethods->xLock(of(file).real, level);
  }
  static int unlock(sqlite3_file* file, int level) {
    return of(file).real->pMethods->xUnlock(of(file).real, level);
  }
  static int reserved(sqlite3_file* file, int* out) {
    return of(file).real->pMethods->xCheckReservedLock(of(file).real, out);
  }
  static int control(sqlite3_file* file, int what, void* data) {
    return of(file).real->pMethods->xFileControl(of(file).real, what, data);
  }
  static int sector(sqlite3_file* file) {
    return of(file).real->pMethods->xSectorSize(of(file).real);
  }
  static int traits(sqlite3_file* /*file*/) { return 0; }  // nothing is promised
  static int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
    return of(file).real->pMethods->xShmMap(of(file).real, page, size, extend, out);
  }
  // Every transaction begins here, also one that finds all it wants in memory.
  static int shm_lock(sqlite3_file* file, int offset, int n, int flags) {
    const bool locking = (flags & SQLITE_SHM_LOCK) != 0;
    if (locking && !of(file).state->pass()) return SQLITE_IOERR_SHMLOCK;
    return of(file).real->pMethods->xShmLock(of(file).real, offset, n, flags);
  }
  static void shm_barrier(sqlite3_file* file) {
    of(file).real->pMethods->xShmBarrier(of(file).real);
  }
  static int shm_unmap(sqlite3_file* file, int remove) {
    return of(file).real->pMethods->xShmUnmap(of(file).real, remove);
  }
};

TestDisk::TestDisk() : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.real = sqlite3_vfs_find(nullptr);
  CHECK(state.real != nullptr);
  state.vfs = *state.real;
  state.vfs.zName = "purgeline-test";
  state.vfs.pNext = nullptr;
  state.vfs.szOsFile = static_cast<int>(sizeof(State::File)) + state.real->szOsFile;
  state.vfs.pAppData = &state;
  state.vfs.xOpen = State::open;
  state.vfs.xDelete = State::remove;
  state.methods = {2,
                   State::close,
                   State::read,
                   State::write_file,
                   State::truncate,
                   State::sync,
                   State::size,
                   State::lock,
                   State::unlock,
                   State::reserved,
                   State::control,
                   State::sector,
                   State::traits,
                   State::shm_map,
                   State::shm_lock,
                   State::shm_barrier,
                   State::shm_unmap,
                   nullptr,
                   nullptr};
  CHECK(sqlite3_vfs_register(&state.vfs, 1) == SQLITE_OK);
}

TestDisk::~TestDisk() {
  sqlite3_vfs_unregister(&state_->vfs);
  sqlite3_vfs_register(state_->real, 1);
}

void TestDisk::freeze() {
  const std::lock_guard lock(state_->mutex);
  state_->frozen = true;
}

void TestDisk::thaw() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->frozen = false;
  }
  state_->thawed.notify_all();
}

void TestDisk::refuse(bool on) {
  const std::lock_guard lock(state_->mutex);
  state_->refusing = on;
}

void TestDisk::cut_after(std::uint64_t operations) {
  const std::lock_guard lock(state_->mutex);
  state_->cut_at = state_->count + operations;
}

bool TestDisk::is_cut() const {
  const std::lock_guard lock(state_->mutex);
  return state_->cut;
}

std::uint64_t TestDisk::operations() const {
  const std::lock_guard lock(state_->mutex);
  return state_->count;
}

void TestDisk::leave(const std::string& folder, const std::string& target,
                     std::uint64_t seed) const {
  const std::lock_guard lock(state_->mutex);
  std::mt19937_64 random(seed);
  for (const auto& [name, image] : state_->images) {
    if (name.rfind(folder, 0) != 0 || name.ends_with("-shm")) continue;
    std::string content = image.synced;
    for (const Write& write : image.pending) {
      const std::uint64_t fate = random() % 3;  // lost, whole, torn
      if (fate == 0) continue;
      const std::size_t bytes =
          fate == 1 ? write.bytes.size() : random() % (write.bytes.size() + 1);
      apply(content, write, bytes);
    }
    const std::filesystem::path path = target + name.substr(folder.size());
    // An empty rollback journal or log is as good as none.
    if (content.empty()) continue;
    std::ofstream(path, std::ios::binary) << content;
  }
}

}  // namespace purgeline::store_test
