// In a file of its own: inlined, the compiler takes the pair below for a mismatch.
#include "support/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> count{0};

}  // namespace

namespace purgeline::test {

std::size_t allocations() {
  return count;
}

}  // namespace purgeline::test

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// A sanitizer has an allocator of its own, and tells of each use.
extern "C" void __sanitizer_malloc_hook(const volatile void*, std::size_t) {
  ++count;
}
extern "C" void __sanitizer_free_hook(const volatile void*) {}
#else
void* operator new(std::size_t size) {
  ++count;
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
#endif
