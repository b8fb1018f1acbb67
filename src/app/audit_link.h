// AuditLink: one connection to one cache, on which the audit asks for copies.
//
// Place:  owned by Audit, one for each target; the transport and the resolver call it.
// Thread: the shard's.
// Bound:  one connection, one request in flight; one request and one head of memory.
//
// Nothing that it sends may make a cache ask its origin, and it does not know what kind of cache it
// talks to. So the first request on a connection is a PURGE of nobody's URL, the probe's of
// target_probes.h, with a field that only the shipped VCL understands:
//  - an answer with the field X-Purgeline-Audit: Varnish with that VCL. Each look is such a PURGE;
//    a VCL without the probe would purge the URL once more, and nothing worse;
//  - an answer of Traffic Server's own: each look is a HEAD with `only-if-cached, max-stale`;
//  - anything else: this cache cannot be looked into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/copy.h"
#include "dispatch/target_spec.h"
#include "purgeline/resolver.h"
#include "purgeline/transport.h"

namespace purgeline {

class AuditLink final : public LinkHandler, public ResolveHandler {
 public:
  enum class Kind : std::uint8_t { unknown, vcl_probe, only_if_cached };

  // `touched` is set when something has happened that turn() has to look at.
  AuditLink(TargetSpec spec, Transport& transport, Resolver& resolver, bool& touched);
  ~AuditLink() override;
  AuditLink(const AuditLink&) = delete;
  AuditLink& operator=(const AuditLink&) = delete;

  // REQUIRES: not busy(). The text is copied.
  void look(std::string_view host, std::string_view path);
  [[nodiscard]] bool busy() const { return busy_; }

  // How a look has ended.
  struct Ended {
    std::optional<audit::Head> head;  // what the cache says of the URL; empty: no usable answer
    std::string blind;                // why this cache cannot be looked into; empty: it can
  };
  // Goes on with the look, and says how it ended. After each turn of the transport.
  [[nodiscard]] std::optional<Ended> turn(MonoTime now);
  // When turn() has something to do that no event announces; MonoTime::max() for never.
  [[nodiscard]] MonoTime next_due() const { return busy_ ? deadline_ : MonoTime::max(); }

  // What it was last known to be.
  [[nodiscard]] Kind kind() const { return kind_; }
  // A look is given up, and the connection closed.
  void close();
  // No connection: it may be destroyed.
  [[nodiscard]] bool closed() const { return state_ == State::closed; }
  void alter(const TargetSpec& spec) { spec_ = spec; }

  // LinkHandler, ResolveHandler
  void on_open() override;
  void on_bytes(std::span<const std::byte> bytes) override;
  void on_sent() override;
  void on_closed(Errc why) override;
  void on_resolved(Result<std::vector<Address>> addresses) override;

 private:
  enum class State : std::uint8_t { closed, resolving, connecting, open, closing };
  enum class Asked : std::uint8_t { nothing, kind, look };

  void connect(MonoTime now);
  void open(const Address& address, MonoTime now);
  void close_link();
  [[nodiscard]] std::optional<Ended> take_end();
  [[nodiscard]] std::optional<Ended> take_head();
  [[nodiscard]] std::optional<Ended> learn(const audit::Head& head);
  [[nodiscard]] std::optional<Ended> ask(MonoTime now);
  [[nodiscard]] Ended end(std::optional<audit::Head> head, std::string blind = {});

  TargetSpec spec_;
  Transport& transport_;
  Resolver& resolver_;
  bool& touched_;
  State state_{State::closed};
  Kind kind_{Kind::unknown};
  bool kept_kind_{false};  // the connection to come is of the kind that the one before had
  LinkId link_;
  std::string host_;
  std::string path_;
  bool busy_{false};
  std::size_t next_address_{0};  // of those that the name has
  int connects_{0};              // for this look
  Asked asked_{Asked::nothing};
  MonoTime deadline_{MonoTime::max()};
  std::string out_;
  bool sending_{false};
  audit::HeadReader reader_;
  bool head_ready_{false};
  bool trouble_{false};  // what comes on this connection cannot be understood
  bool useful_{false};   // it has brought an answer
  bool ended_{false};    // told by on_closed(), not yet looked at
  std::optional<Result<std::vector<Address>>> resolved_;
};

}  // namespace purgeline
