// Who reads the pages of a world, and how its origin and caches behave for them.
#include <algorithm>

#include "sim/world.h"

namespace purgeline::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr std::uint64_t kFences = 3000;
constexpr std::uint64_t kFewFences = 60;

}  // namespace

void World::fill_caches() {
  times_.lag = milliseconds(50 + reader_random_.below(550));
  times_.fetch = milliseconds(200 + reader_random_.below(1800));
  times_.hit = milliseconds(20 + reader_random_.below(280));
  if (reader_random_.below(2) == 0) kinds_.ttl = milliseconds(500 + reader_random_.below(4000));
  kinds_.grace = reader_random_.below(2) == 0;
  kinds_.keeps = reader_random_.below(2) == 0;
  fences_ = reader_random_.below(4) > 0;
  config_.fence.fetch_time.reset();
  if (fences_) config_.fence.fetch_time = times_.fetch;
  config_.fence.origin_lag = times_.lag;
  config_.fence.hit_time = times_.hit;
  // The small one is full often.
  config_.fence.capacity = reader_random_.below(4) > 0 ? kFences : kFewFences;
  content_.set_reader([this](const PageRead& read) {
    ++reads_;
    if (read.version != read.latest && trace_.printing()) {
      trace_.say("  old: " + transport_.cache(read.port).name + " serves " + read.url +
                 " version " + std::to_string(read.version) + " of " + std::to_string(read.latest));
    }
    checker_->read_page(read);
  });
}

// The change has been made. Until now its page was read, and it is read all the more from now on:
// a purge that comes while nobody fetches the page is no test.
void World::page_changed(const std::string& url, MonoTime made) {
  content_.advance(clock_.now());
  for (const auto& layer : ports()) {
    for (const std::uint16_t port : layer) {
      if (content_.latest(url) == 0 && reader_random_.below(2) == 0) content_.store(port, url);
    }
  }
  content_.change(url, made, {below(times_.lag), below(times_.lag)});
  for (std::uint64_t n = reader_random_.below(6); n > 0; --n) read_later(url);
}

void World::read_later(const std::string& url) {
  const auto layers = ports();
  // Most ask the cache in front, as clients do.
  const auto& layer =
      reader_random_.below(4) == 0 ? layers[reader_random_.below(layers.size())] : layers.back();
  const std::uint16_t port = layer[reader_random_.below(layer.size())];
  const Duration soon = times_.lag + milliseconds(50);
  const Duration late = 2 * (times_.lag + times_.fetch + 3 * times_.hit) + seconds(2);
  const Duration when = reader_random_.below(2) == 0 ? below(soon) : below(late);
  content_.read_at(clock_.now() + when, port, url);
}

void World::stop_cache(std::uint16_t port) {
  content_.advance(clock_.now());
  content_.stop(port);
  transport_.stop_cache(port);
}

void World::start_cache(std::uint16_t port) {
  content_.advance(clock_.now());
  content_.start(port);
  transport_.start_cache(port);
}

void World::configured() {
  content_.advance(clock_.now());
  content_.set_layers(ports());
  checker_->configured(ports());
}

void World::without_fences() {
  fences_ = false;
  config_.fence.fetch_time.reset();
  checker_->set_fences(false, true);
}

bool World::room_for_fences() const {
  return config_.fence.capacity == kFences;
}

// Whatever is still in a cache may be served for ever.
void World::check_copies() {
  content_.finish();
  for (const PageRead& copy : content_.copies()) checker_->read_page(copy);
}

}  // namespace purgeline::sim
