// SimContent: what simulated caches hold, the origin that they fetch it from, and who reads it.
//
// The origin has several replicas, each behind by a lag of its own. The first layer fetches from
// it, each layer behind that one from the one in front. Fetches take time, and what a PURGE finds
// is what is stored when it comes: a fetch that is under way stores its copy afterwards, as real
// caches do.
//
// It has an agenda of its own and is moved to the present when something touches it, so that nobody
// who reads ends the program's sleep: a world with readers is the same world for the program.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "support/fake_clock.h"

namespace purgeline::sim {

// What promise 4 is about.
struct FillTimes {
  Duration lag{0};    // L: the origin shows a change at the latest so long after it was made
  Duration fetch{0};  // F: a fetch from the origin lasts at most
  Duration hit{0};    // H: what a layer was asked for before it was purged is stored behind it
};

// How one request to the origin goes.
struct FetchPlan {
  Duration read_after{0};        // the origin looks the page up
  std::optional<Duration> last;  // the answer is stored; never: when it is released
  std::size_t replica{0};
};

// How a cache behaves; each is what some configuration of a real one does.
struct CacheKind {
  bool keeps{false};         // its content survives a restart
  bool kills_fill{false};    // a PURGE that finds a copy keeps a fetch beside it from being stored
  bool reads_writer{false};  // a reader is served what a fetch has got so far
  bool asks_alone{false};    // a reader beside a fetch does one of its own, which is not stored
  bool grace{false};         // a copy past its time is served while a new one is fetched
  std::optional<Duration> ttl;
};

// A page as a reader got it.
struct PageRead {
  MonoTime at{};
  std::uint16_t port{0};
  std::string url;
  std::uint32_t version{0};
  MonoTime made{MonoTime::min()};    // when the change was made that it shows
  MonoTime fetched{};                // when the origin was asked for it
  MonoTime stored{MonoTime::min()};  // at this cache; min: handed through
  std::uint32_t latest{0};           // the version that the page has now
};

class SimContent {
 public:
  static constexpr std::size_t kReplicas = 2;
  using Layers = std::vector<std::vector<std::uint16_t>>;
  // What is drawn: the plan of a request to the origin, how long a part of a way between two layers
  // takes, how long a cache takes to remove what it was told to; and one out of several.
  struct Draws {
    std::function<FetchPlan()> fetch;
    std::function<Duration()> hop;
    std::function<Duration()> removal;
    std::function<std::size_t(std::size_t)> pick;
    std::function<CacheKind()> kind;
  };
  explicit SimContent(Draws draws) : draws_(std::move(draws)) {}

  // Told of each page that a reader gets.
  void set_reader(std::function<void(const PageRead&)> reader) { reader_ = std::move(reader); }

  // Told of each hit that one cache hands to another: from, to.
  void set_refill(std::function<void(std::uint16_t, std::uint16_t)> refill) {
    refill_ = std::move(refill);
  }

  // Everything that happens before `now`. The calls below say what happens at that moment.
  void advance(MonoTime now);
  // What is under way ends; nobody reads any more.
  void finish();

  // A cache that is new is empty; one that is gone loses what it had.
  void set_layers(const Layers& layers);
  void stop(std::uint16_t port);
  void start(std::uint16_t port);
  // Replica i shows the change `lags[i]` later, and never a change before an earlier one.
  void change(const std::string& url, MonoTime made, std::array<Duration, kReplicas> lags);
  void show(const std::string& url);  // on all replicas, now
  // The cache has whatever the page shows now.
  void store(std::uint16_t port, const std::string& url);
  void read_at(MonoTime when, std::uint16_t port, const std::string& url);
  void read(std::uint16_t port, const std::string& url);  // now
  // The same, by a reader who takes no copy that was stored before.
  void refresh(std::uint16_t port, const std::string& url);
  void purge(std::uint16_t port, const std::string& url);
  void expire(const std::string& url);  // every copy is past its time
  void release();                       // requests that have no end yet are answered

  [[nodiscard]] std::uint32_t latest(const std::string& url) const;
  // Every copy that there is, as a reader would get it now.
  [[nodiscard]] std::vector<PageRead> copies() const;
  [[nodiscard]] std::uint64_t stored_after_purge() const { return stored_after_purge_; }
  [[nodiscard]] std::uint64_t revived() const { return revived_; }
  [[nodiscard]] std::uint64_t refilled() const { return refilled_; }

 private:
  using PageId = std::uint32_t;
  using FetchId = std::uint32_t;
  static constexpr FetchId kNone = ~FetchId{0};
  struct Body {
    std::uint32_t version{0};
    MonoTime fetched{};
  };
  struct Change {
    MonoTime made{MonoTime::min()};
    std::array<MonoTime, kReplicas> shown{};
  };
  struct Page {
    std::string url;
    std::vector<Change> changes{1};  // by version; the first was always there
  };
  struct Copy {
    Body body;
    MonoTime stored{};
    MonoTime expires{MonoTime::max()};
  };
  struct Place {  // of one page in one cache
    std::optional<Copy> copy;
    FetchId fill{kNone};
    MonoTime purged{MonoTime::min()};
  };
  struct Cache {
    std::uint16_t port{0};
    bool up{true};
    CacheKind kind;
    std::vector<Place> places;  // by page
  };
  struct Fetch {
    std::size_t cache{0};
    PageId page{0};
    MonoTime began{};
    std::optional<Body> body;  // known as soon as the origin has looked it up
    std::size_t replica{0};
    bool under_way{true};
    bool stores{true};
    bool held{false};
    bool conditional{false};        // its copy is past its time, and may be found unchanged
    std::uint64_t readers{0};       // who wait for it
    std::vector<FetchId> children;  // of the layer behind
  };
  enum class What : std::uint8_t { read, ask, look_up, end, remove };
  struct Due {
    MonoTime at;
    std::uint64_t sequence;
    What what;
    std::uint32_t a;  // a fetch, or a cache's port
    PageId page;
    MonoTime since;  // remove: what was stored up to then
  };
  struct Later {
    bool operator()(const Due& a, const Due& b) const {
      return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
    }
  };

  void plan(MonoTime at, What what, std::uint32_t a, PageId page, MonoTime since = {});
  void run(const Due& due);
  [[nodiscard]] PageId page_of(const std::string& url);
  [[nodiscard]] std::size_t find(std::uint16_t port) const;
  [[nodiscard]] std::size_t layer_of(std::uint16_t port) const;
  Place& place(std::size_t cache, PageId page);
  [[nodiscard]] std::uint32_t shown(PageId page, std::size_t replica) const;
  // `child`: the fetch of a layer behind, or none for a reader.
  void serve(std::size_t cache, PageId page, FetchId child);
  FetchId begin(std::size_t cache, PageId page, bool stores);
  void wait(FetchId fetch, FetchId child);
  void hand(std::size_t cache, PageId page, FetchId child, const Body& body, MonoTime stored);
  void ask(FetchId fetch);
  void look_up(FetchId fetch);
  void end(FetchId fetch);
  void fail(FetchId fetch);
  void empty(Cache& cache);
  void remove(std::uint16_t port, PageId page, MonoTime since);
  [[nodiscard]] PageRead as_read(std::size_t cache, PageId page, const Body& body,
                                 MonoTime stored) const;

  Draws draws_;
  std::function<void(const PageRead&)> reader_;
  std::function<void(std::uint16_t, std::uint16_t)> refill_;
  MonoTime now_{MonoTime::min()};
  std::priority_queue<Due, std::vector<Due>, Later> due_;
  std::uint64_t sequence_{0};
  std::unordered_map<std::string, PageId> ids_;
  std::vector<Page> pages_;
  Layers layers_;
  std::vector<Cache> caches_;
  std::vector<Fetch> fetches_;
  bool finishing_{false};
  std::uint64_t stored_after_purge_{0};
  std::uint64_t revived_{0};
  std::uint64_t refilled_{0};
};

}  // namespace purgeline::sim
