#include "sources/kafka_connection.h"

#include <utility>

#include "sources/kafka_client.h"
#include "sources/kafka_conf.h"
#include "sources/kafka_helper.h"
#include "sources/kafka_offsets.h"
#include "sources/kafka_source.h"

namespace purgeline {
namespace {

// Questions that may be open: two for each of a few hundred partitions at start.
constexpr std::size_t kQuestions = 1024;
// The control client reads nothing. Its requests are small and answered at once by a broker that
// lives; the end of a client waits for a commit that is on the wire, so this is also the longest
// end.
const KafkaProperties& control_properties() {
  static const KafkaProperties kOwn{{"socket.timeout.ms", "6000"},
                                    {"queued.max.messages.kbytes", "1024"}};
  return kOwn;
}

}  // namespace

Result<std::unique_ptr<KafkaConnection>> KafkaConnection::make(KafkaOptions options, int wake_fd,
                                                               Clock& clock) {
  Result<KafkaSettings> settings = kafka_settings(options);
  if (!settings) return tl::unexpected<Error>(settings.error());
  auto control = KafkaClient::make(*settings, options.topics, control_properties());
  if (!control) return tl::unexpected<Error>(control.error());
  auto made = std::make_unique<KafkaConnection>(std::move(*control),
                                                std::make_unique<KafkaHelper>(wake_fd, kQuestions));
  made->offsets_ = std::make_unique<KafkaOffsetStore>(*made->control_, *made->helper_, wake_fd,
                                                      options.ask_timeout);
  made->source_ = std::make_unique<KafkaSource>(std::move(options), std::move(*settings),
                                                *made->control_, *made->helper_, wake_fd, clock);
  return made;
}

KafkaConnection::KafkaConnection(std::unique_ptr<KafkaClient> control,
                                 std::unique_ptr<KafkaHelper> helper)
    : control_(std::move(control)), helper_(std::move(helper)) {}

KafkaConnection::~KafkaConnection() {
  offsets_->stop();
  if (!source_->stopped()) source_->stop();
  // The helper's jobs use all the others: it goes first. Queues are given back above, before the
  // clients.
  helper_.reset();
}

Source& KafkaConnection::source() {
  return *source_;
}
OffsetStore& KafkaConnection::offsets() {
  return *offsets_;
}
}  // namespace purgeline
