#include "intake/htcp_intake.h"

#include "decode/htcp.h"
#include "decode/posted_events.h"
#include "intake/event_id.h"
#include "intake/senders.h"
#include "purgeline/check.h"
#include "purgeline/utc.h"

namespace purgeline {

struct HtcpIntake::Impl : std::enable_shared_from_this<HtcpIntake::Impl> {
  Impl(HtcpIntakeOptions options_in, JournalWriter& journal_in, Clock& clock_in, Random& random_in,
       Post post_in)
      : options(std::move(options_in)),
        journal(journal_in),
        clock(clock_in),
        random(random_in),
        post(std::move(post_in)),
        senders(static_cast<double>(options.rate)) {
    if (options.allow_sources.empty()) options.allow_sources = {"127.0.0.0/8", "::1"};
    for (const std::string& source : options.allow_sources) {
      const auto network = parse_network(source);
      CHECK(network);  // the configuration's check has refused all others
      networks.push_back(*network);
      sources.push_back({source, {}});
    }
  }

  // The first entry of allow_sources that it falls under.
  MetricsSnapshot::HtcpSource* source_of(const IpAddress& address) {
    for (std::size_t i = 0; i < networks.size(); ++i) {
      if (networks[i].contains(address)) return &sources[i];
    }
    return nullptr;
  }

  HtcpOutcome judge(const IpAddress& address, std::string_view datagram, bool cut) {
    MetricsSnapshot::HtcpSource* const source = source_of(address);
    if (source == nullptr) return HtcpOutcome::not_allowed;
    ++source->metrics.packets;
    if (cut) return HtcpOutcome::too_long;
    const HtcpClear clear = read_htcp(datagram);
    if (clear.outcome != HtcpOutcome::accepted) return clear.outcome;
    const MonoTime now = clock.now();
    Sender& sender = senders.find(address, now);
    // Numbers first: a packet that is over the rate has not been lost on its way.
    source->metrics.lost += sender.numbers.see(clear.transaction);
    if (!senders.take(sender, now)) return HtcpOutcome::limited;
    Url url;
    if (splitter.split(clear.uri, url)) return HtcpOutcome::bad_url;
    Append event{options.topic, "", "", clock.wall()};
    const std::string id = make_event_id(random);
    const std::string dt = utc_text(clock.wall(), Fraction::microseconds);
    if (!write_purge_event({clear.uri, id, dt, options.topic, "htcp"}, event.value)) {
      return HtcpOutcome::bad_url;
    }
    gathered.push_back(std::move(event));
    return HtcpOutcome::accepted;
  }

  void count(HtcpOutcome outcome, std::size_t packets) {
    metrics.packets[static_cast<std::size_t>(outcome)] += packets;
  }

  void flush() {
    if (gathered.empty()) return;
    const std::size_t packets = gathered.size();
    auto done = [self = shared_from_this(), packets](const Result<std::vector<Offset>>& result) {
      self->post([self, packets, durable = result.has_value()] {
        self->waiting -= packets;
        self->count(durable ? HtcpOutcome::accepted : HtcpOutcome::failed, packets);
      });
    };
    // A copy: what the journal has no room for is offered again.
    waiting += packets;
    if (journal.append(gathered, std::move(done))) {
      gathered.clear();
    } else {
      waiting -= packets;
    }
  }

  HtcpIntakeOptions options;
  JournalWriter& journal;
  Clock& clock;
  Random& random;
  Post post;
  Senders senders;
  UrlSplitter splitter;
  std::vector<IpNetwork> networks;
  std::vector<MetricsSnapshot::HtcpSource> sources;
  std::vector<Append> gathered;
  std::size_t waiting{0};
  IntakeHtcpMetrics metrics;
};

HtcpIntake::HtcpIntake(HtcpIntakeOptions options, JournalWriter& journal, Clock& clock,
                       Random& random, Post post)
    : impl_(std::make_shared<Impl>(std::move(options), journal, clock, random, std::move(post))) {}

HtcpIntake::~HtcpIntake() = default;

void HtcpIntake::on_packet(const IpAddress& source, std::string_view datagram, bool cut) {
  impl_->metrics.bytes += datagram.size();
  const HtcpOutcome outcome = impl_->judge(source, datagram, cut);
  // What is accepted is counted once it is durable, so that each packet is counted once.
  if (outcome != HtcpOutcome::accepted) impl_->count(outcome, 1);
}

void HtcpIntake::on_overflow(std::uint64_t packets) {
  impl_->metrics.overflowed += packets;
}

void HtcpIntake::flush() {
  impl_->flush();
}

bool HtcpIntake::has_room() const {
  return impl_->gathered.empty() && impl_->waiting < kMostWaiting;
}

const IntakeHtcpMetrics& HtcpIntake::metrics() const {
  impl_->metrics.waiting = static_cast<double>(impl_->waiting + impl_->gathered.size());
  return impl_->metrics;
}

const std::vector<MetricsSnapshot::HtcpSource>& HtcpIntake::sources() const {
  return impl_->sources;
}

}  // namespace purgeline
