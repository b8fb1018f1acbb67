// Connection: one pipelined HTTP/1.1 connection to a cache.
//
// Place:  owned by a Target; the transport calls it.
// Thread: the shard's.
// Bound:  `depth` deliveries in flight, two write buffers of kWriteBuffer bytes.
//
// What the transport tells is only noted here; the Target looks at it in its next turn and judges.
// So an outcome is never reported from within the transport's callbacks, and every judgement is
// made at a freshly read time: inside the callbacks the clock still shows the moment before the
// sleep.
//
// Two buffers, because at most one send may be in flight: while one is with the transport the other
// fills.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dispatch/http1.h"
#include "purgeline/delivery.h"
#include "purgeline/ring.h"
#include "purgeline/transport.h"

namespace purgeline {

class Connection : public LinkHandler {
 public:
  enum class State : std::uint8_t { closed, connecting, open, closing };
  static constexpr std::size_t kStates = 4;

  // Why no more answers can be read from an established connection.
  enum class Trouble : std::uint8_t {
    none,
    malformed,    // an answer that cannot be understood, or one that nobody asked for
    last_answer,  // the cache said that it closes after the last answer
  };

  struct InFlight {
    Delivery delivery;
    MonoTime taken{};
    Answer answer;  // status 0 until it has come
  };

  Connection(Transport& transport, std::uint32_t depth, std::string_view user_agent);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // ---- acting
  void open(const Address& address, MonoTime now);
  // Puts the request into the buffer that fills. False, and nothing taken: the URL cannot be
  // written. REQUIRES: has_room(); nothing else in flight when the delivery is to be alone.
  [[nodiscard]] bool write(const Delivery& delivery, MonoTime taken, MonoTime now);
  // Hands the filled buffer to the transport, unless a send is in flight.
  void flush();
  void close();

  // ---- looking
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] Trouble trouble() const { return trouble_; }
  [[nodiscard]] std::size_t in_flight() const { return flying_.size(); }
  // How many of the deliveries in flight, from the first, the cache can have seen.
  [[nodiscard]] std::size_t handed() const { return handed_; }
  // Its only delivery is to be alone.
  [[nodiscard]] bool exclusive() const { return exclusive_; }
  [[nodiscard]] bool has_room(std::uint32_t depth) const;
  // Since when the first delivery in flight has been waiting for the cache: since it was written
  // or, when that is later, since the answer before it. A long pipeline may take long; silence may
  // not.
  [[nodiscard]] MonoTime waiting_since() const { return waiting_since_; }
  // It has brought an answer.
  [[nodiscard]] bool useful() const { return useful_; }
  [[nodiscard]] MonoTime opened_at() const { return opened_at_; }

  // ---- what has happened, each told once
  [[nodiscard]] bool take_opened();
  [[nodiscard]] bool has_answer() const { return answered_ > 0; }
  InFlight take_answer(MonoTime now);
  struct End {
    Errc why;
    bool established;  // false: it never was open
    bool asked;        // close() was called before
  };
  [[nodiscard]] std::optional<End> take_end();
  // The deliveries in flight, oldest first, for reporting; then clear() forgets them.
  [[nodiscard]] const InFlight& at(std::size_t index) const { return flying_[index]; }
  void clear();

  // LinkHandler
  void on_open() override;
  void on_bytes(std::span<const std::byte> bytes) override;
  void on_sent() override;
  void on_closed(Errc why) override;

 private:
  // Room for one request of the greatest length while 32 KiB of ordinary ones are collected.
  static constexpr std::size_t kWriteBuffer = 2 * kMaxRequest;

  void enter(State next);

  Transport& transport_;
  std::string_view user_agent_;
  State state_{State::closed};
  Trouble trouble_{Trouble::none};
  LinkId link_;
  ResponseParser parser_;
  Ring<InFlight> flying_;
  std::size_t handed_{0};    // of flying_, from the front
  std::size_t answered_{0};  // of handed_, from the front
  std::string filling_;
  std::string sending_;
  bool send_in_flight_{false};
  bool exclusive_{false};
  bool established_{false};
  bool tell_opened_{false};
  bool useful_{false};
  bool asked_{false};
  std::optional<End> end_;
  MonoTime waiting_since_{};
  MonoTime opened_at_{};
};

[[nodiscard]] const char* connection_state_name(Connection::State state);

}  // namespace purgeline
