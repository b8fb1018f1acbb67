#include "sim/sim_content.h"

#include <algorithm>
#include <utility>

#include "purgeline/check.h"

namespace purgeline::sim {

// ---- time

void SimContent::plan(MonoTime at, What what, std::uint32_t a, PageId page, MonoTime since) {
  due_.push({at, sequence_++, what, a, page, since});
}

void SimContent::advance(MonoTime now) {
  while (!due_.empty() && due_.top().at <= now) {
    const Due due = due_.top();
    due_.pop();
    now_ = std::max(now_, due.at);
    run(due);
  }
  now_ = std::max(now_, now);
}

void SimContent::finish() {
  finishing_ = true;
  advance(MonoTime::max());
}

void SimContent::run(const Due& due) {
  switch (due.what) {
    case What::read:
      if (!finishing_ && find(static_cast<std::uint16_t>(due.a)) < caches_.size())
        serve(find(static_cast<std::uint16_t>(due.a)), due.page, kNone);
      return;
    case What::ask:
      return ask(due.a);
    case What::look_up:
      return look_up(due.a);
    case What::end:
      return end(due.a);
    case What::remove:
      return remove(static_cast<std::uint16_t>(due.a), due.page, due.since);
  }
}

// ---- what there is

SimContent::PageId SimContent::page_of(const std::string& url) {
  const auto [found, fresh] = ids_.emplace(url, static_cast<PageId>(pages_.size()));
  if (fresh) pages_.push_back({url});
  return found->second;
}

std::size_t SimContent::find(std::uint16_t port) const {
  std::size_t i = 0;
  while (i < caches_.size() && caches_[i].port != port) ++i;
  return i;
}

std::size_t SimContent::layer_of(std::uint16_t port) const {
  std::size_t i = 0;
  while (i < layers_.size() &&
         std::find(layers_[i].begin(), layers_[i].end(), port) == layers_[i].end()) {
    ++i;
  }
  return i;
}

SimContent::Place& SimContent::place(std::size_t cache, PageId page) {
  std::vector<Place>& places = caches_[cache].places;
  if (places.size() <= page) places.resize(page + 1);
  return places[page];
}

std::uint32_t SimContent::shown(PageId page, std::size_t replica) const {
  const std::vector<Change>& changes = pages_[page].changes;
  std::size_t version = changes.size() - 1;
  while (version > 0 && changes[version].shown[replica] > now_) --version;
  return static_cast<std::uint32_t>(version);
}

std::uint32_t SimContent::latest(const std::string& url) const {
  const auto found = ids_.find(url);
  if (found == ids_.end()) return 0;
  return static_cast<std::uint32_t>(pages_[found->second].changes.size() - 1);
}

PageRead SimContent::as_read(std::size_t cache, PageId page, const Body& body,
                             MonoTime stored) const {
  const Page& of = pages_[page];
  PageRead read;
  read.at = now_;
  read.port = caches_[cache].port;
  read.url = of.url;
  read.version = body.version;
  read.made = of.changes[body.version].made;
  read.fetched = body.fetched;
  read.stored = stored;
  read.latest = static_cast<std::uint32_t>(of.changes.size() - 1);
  return read;
}

std::vector<PageRead> SimContent::copies() const {
  std::vector<PageRead> all;
  for (std::size_t cache = 0; cache < caches_.size(); ++cache) {
    const std::vector<Place>& places = caches_[cache].places;
    for (PageId page = 0; page < places.size(); ++page) {
      const std::optional<Copy>& copy = places[page].copy;
      if (copy) all.push_back(as_read(cache, page, copy->body, copy->stored));
    }
  }
  return all;
}

// ---- what happens in the world

void SimContent::set_layers(const Layers& layers) {
  layers_ = layers;
  for (Cache& cache : caches_) {
    if (layer_of(cache.port) == layers_.size()) empty(cache);
  }
  for (const auto& layer : layers_) {
    for (const std::uint16_t port : layer) {
      if (find(port) < caches_.size()) continue;
      Cache cache;
      cache.port = port;
      cache.kind = draws_.kind();
      caches_.push_back(std::move(cache));
    }
  }
}

void SimContent::empty(Cache& cache) {
  const auto which = static_cast<std::size_t>(&cache - caches_.data());
  for (Place& place : cache.places) place.copy.reset();
  for (FetchId i = 0; i < fetches_.size(); ++i) {
    if (fetches_[i].under_way && fetches_[i].cache == which) fail(i);
  }
}

void SimContent::stop(std::uint16_t port) {
  const std::size_t which = find(port);
  if (which == caches_.size()) return;
  Cache& cache = caches_[which];
  cache.up = false;
  std::vector<Place> kept;
  if (cache.kind.keeps) kept = cache.places;
  empty(cache);
  if (!cache.kind.keeps) return;
  for (Place& place : kept) place.fill = kNone;
  cache.places = std::move(kept);
}

void SimContent::start(std::uint16_t port) {
  const std::size_t which = find(port);
  if (which < caches_.size()) caches_[which].up = true;
}

void SimContent::change(const std::string& url, MonoTime made,
                        std::array<Duration, kReplicas> lags) {
  std::vector<Change>& changes = pages_[page_of(url)].changes;
  Change change;
  change.made = std::max(made, changes.back().made);
  for (std::size_t i = 0; i < kReplicas; ++i) {
    change.shown[i] = changes.back().shown[i];
    if (lags[i] == Duration::max())
      change.shown[i] = MonoTime::max();
    else
      change.shown[i] = std::max(change.shown[i], made + lags[i]);
  }
  changes.push_back(change);
}

void SimContent::show(const std::string& url) {
  for (Change& change : pages_[page_of(url)].changes) {
    for (MonoTime& shown : change.shown) shown = std::min(shown, now_);
  }
}

void SimContent::store(std::uint16_t port, const std::string& url) {
  const std::size_t which = find(port);
  const PageId page = page_of(url);
  if (which == caches_.size() || !caches_[which].up) return;
  Copy copy;
  copy.body = {shown(page, 0), now_};
  copy.stored = now_;
  place(which, page).copy = copy;
}

void SimContent::read_at(MonoTime when, std::uint16_t port, const std::string& url) {
  plan(when, What::read, port, page_of(url));
}

void SimContent::read(std::uint16_t port, const std::string& url) {
  CHECK(find(port) < caches_.size());
  serve(find(port), page_of(url), kNone);
}

void SimContent::refresh(std::uint16_t port, const std::string& url) {
  CHECK(find(port) < caches_.size());
  wait(begin(find(port), page_of(url), true), kNone);
}

void SimContent::purge(std::uint16_t port, const std::string& url) {
  const Duration later = draws_.removal();
  if (later <= Duration(0)) return remove(port, page_of(url), now_);
  plan(now_ + later, What::remove, port, page_of(url), now_);
}

void SimContent::remove(std::uint16_t port, PageId page, MonoTime since) {
  const std::size_t which = find(port);
  if (which == caches_.size()) return;
  Place& at = place(which, page);
  at.purged = since;
  if (!at.copy || at.copy->stored > since) return;
  const bool readable = now_ < at.copy->expires;
  at.copy.reset();
  if (!readable || at.fill == kNone || !caches_[which].kind.kills_fill) return;
  fetches_[at.fill].stores = false;
  at.fill = kNone;
}

void SimContent::expire(const std::string& url) {
  const PageId page = page_of(url);
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    if (std::optional<Copy>& copy = place(i, page).copy; copy) copy->expires = now_;
  }
}

void SimContent::release() {
  for (FetchId i = 0; i < fetches_.size(); ++i) {
    if (!fetches_[i].held || !fetches_[i].under_way) continue;
    fetches_[i].held = false;
    end(i);
  }
}

// ---- what caches do

void SimContent::serve(std::size_t cache, PageId page, FetchId child) {
  const Cache& of = caches_[cache];
  if (!of.up) {
    if (child != kNone) fail(child);
    return;
  }
  const Place at = place(cache, page);
  if (at.copy && now_ < at.copy->expires) {
    hand(cache, page, child, at.copy->body, at.copy->stored);
    return;
  }
  const bool late = at.copy && of.kind.grace;
  if (late) hand(cache, page, child, at.copy->body, at.copy->stored);
  if (at.fill == kNone) {
    const FetchId fill = begin(cache, page, true);
    fetches_[fill].conditional = at.copy.has_value();
    if (!late) wait(fill, child);
    return;
  }
  if (late) return;
  const Fetch& fill = fetches_[at.fill];
  // What is streamed to a cache is stored there when it has ended here.
  if (child == kNone && fill.body && of.kind.reads_writer) {
    hand(cache, page, child, *fill.body, MonoTime::min());
  } else if (of.kind.asks_alone) {
    wait(begin(cache, page, false), child);
  } else {
    wait(at.fill, child);
  }
}

SimContent::FetchId SimContent::begin(std::size_t cache, PageId page, bool stores) {
  const auto id = static_cast<FetchId>(fetches_.size());
  fetches_.push_back({});
  Fetch& fetch = fetches_.back();
  fetch.cache = cache;
  fetch.page = page;
  fetch.began = now_;
  fetch.stores = stores;
  if (stores) place(cache, page).fill = id;
  if (layer_of(caches_[cache].port) > 0) {
    plan(now_ + draws_.hop(), What::ask, id, page);
    return id;
  }
  const FetchPlan planned = draws_.fetch();
  fetch.replica = planned.replica;
  if (planned.read_after <= Duration(0))
    fetch.body = Body{shown(page, fetch.replica), now_};
  else
    plan(now_ + planned.read_after, What::look_up, id, page);
  if (planned.last)
    plan(now_ + *planned.last, What::end, id, page);
  else
    fetch.held = true;
  return id;
}

void SimContent::wait(FetchId fetch, FetchId child) {
  if (child == kNone)
    ++fetches_[fetch].readers;
  else
    fetches_[fetch].children.push_back(child);
}

void SimContent::hand(std::size_t cache, PageId page, FetchId child, const Body& body,
                      MonoTime stored) {
  if (child == kNone) {
    if (reader_) reader_(as_read(cache, page, body, stored));
    return;
  }
  if (!fetches_[child].under_way) return;
  if (stored != MonoTime::min()) {
    ++refilled_;
    if (refill_) refill_(caches_[cache].port, caches_[fetches_[child].cache].port);
  }
  fetches_[child].body = body;
  plan(now_ + draws_.hop(), What::end, child, page);
}

void SimContent::ask(FetchId id) {
  if (!fetches_[id].under_way) return;
  const std::size_t layer = layer_of(caches_[fetches_[id].cache].port);
  if (layer == 0 || layer >= layers_.size()) return fail(id);  // it has moved meanwhile
  const std::vector<std::uint16_t>& parents = layers_[layer - 1];
  serve(find(parents[draws_.pick(parents.size())]), fetches_[id].page, id);
}

void SimContent::look_up(FetchId id) {
  Fetch& fetch = fetches_[id];
  if (fetch.under_way) fetch.body = Body{shown(fetch.page, fetch.replica), fetch.began};
}

void SimContent::end(FetchId id) {
  if (!fetches_[id].under_way) return;
  fetches_[id].under_way = false;
  const Fetch fetch = fetches_[id];
  CHECK(fetch.body.has_value());
  Place& at = place(fetch.cache, fetch.page);
  if (at.fill == id) at.fill = kNone;
  MonoTime stored = MonoTime::min();
  if (fetch.stores) {
    if (at.purged > fetch.began) {
      ++stored_after_purge_;
      if (fetch.conditional) ++revived_;
    }
    Copy copy;
    copy.body = *fetch.body;
    copy.stored = stored = now_;
    const std::optional<Duration>& ttl = caches_[fetch.cache].kind.ttl;
    if (ttl && !finishing_) copy.expires = now_ + *ttl;
    at.copy = copy;
  }
  for (std::uint64_t i = 0; i < fetch.readers; ++i)
    hand(fetch.cache, fetch.page, kNone, *fetch.body, stored);
  for (const FetchId child : fetch.children) {
    hand(fetch.cache, fetch.page, child, *fetch.body, MonoTime::min());
  }
}

void SimContent::fail(FetchId id) {
  Fetch& fetch = fetches_[id];
  if (!fetch.under_way) return;
  fetch.under_way = false;
  Place& at = place(fetch.cache, fetch.page);
  if (at.fill == id) at.fill = kNone;
  const std::vector<FetchId> children = std::move(fetch.children);
  for (const FetchId child : children) fail(child);
}

}  // namespace purgeline::sim
