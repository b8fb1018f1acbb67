#include "dispatch/connection.h"

#include <array>

#include "purgeline/check.h"

namespace purgeline {
namespace {

using State = Connection::State;

constexpr std::size_t index(State state) {
  return static_cast<std::size_t>(state);
}

// Rows: from; columns: to, in the order closed, connecting, open, closing.
constexpr std::array<std::array<bool, Connection::kStates>, Connection::kStates> kLegal{{
    {false, true, false, false},  // closed
    {true, false, true, true},    // connecting: fails, opens, is given up
    {true, false, false, true},   // open: ended by the peer, by us
    {true, false, false, false},  // closing: the transport has drained it
}};

}  // namespace

const char* connection_state_name(State state) {
  static constexpr std::array<const char*, Connection::kStates> names{"closed", "connecting",
                                                                      "open", "closing"};
  CHECK(index(state) < names.size());
  return names[index(state)];
}

Connection::Connection(Transport& transport, std::uint32_t depth, std::string_view user_agent)
    : transport_(transport), user_agent_(user_agent), flying_(depth) {
  CHECK(depth > 0);
}

void Connection::enter(State next) {
  CHECK(kLegal[index(state_)][index(next)]);
  state_ = next;
}

// A Connection is used again and again; each time it starts as if it were new.
void Connection::open(const Address& address, MonoTime now) {
  CHECK(flying_.empty() && !end_);
  CHECK(!send_in_flight_);
  enter(State::connecting);
  // Reserved with the first connection, so that a target that is never used costs nothing.
  filling_.reserve(kWriteBuffer);
  sending_.reserve(kWriteBuffer);
  filling_.clear();
  sending_.clear();
  parser_ = ResponseParser{};
  trouble_ = Trouble::none;
  established_ = tell_opened_ = useful_ = asked_ = exclusive_ = false;
  opened_at_ = now;
  link_ = transport_.open(address, *this);
  CHECK(link_.valid());
}

bool Connection::has_room(std::uint32_t depth) const {
  return state_ == State::open && trouble_ == Trouble::none && !exclusive_ && !end_ &&
         flying_.size() < depth && !flying_.full() &&
         filling_.capacity() - filling_.size() >= kMaxRequest;
}

bool Connection::write(const Delivery& delivery, MonoTime taken, MonoTime now) {
  CHECK(has_room(UINT32_MAX));
  CHECK(!delivery.alone || flying_.empty());
  if (!write_purge(filling_, delivery.host, delivery.path, user_agent_)) return false;
  // Behind others it waits for them first; its own time begins with the answer before it.
  if (flying_.empty()) waiting_since_ = now;
  exclusive_ = delivery.alone;
  flying_.push_back(InFlight{delivery, taken, {}});
  return true;
}

// After trouble nothing more is sent: the cache would not answer it, or nobody could tell to whom.
void Connection::flush() {
  if (state_ != State::open || send_in_flight_ || trouble_ != Trouble::none || filling_.empty())
    return;
  CHECK(handed_ < flying_.size());
  filling_.swap(sending_);
  filling_.clear();
  send_in_flight_ = true;
  handed_ = flying_.size();
  transport_.send(link_, std::as_bytes(std::span(sending_)));
}

void Connection::close() {
  CHECK(state_ == State::connecting || state_ == State::open);
  asked_ = true;
  enter(State::closing);
  transport_.close(link_);
}

bool Connection::take_opened() {
  const bool opened = tell_opened_;
  tell_opened_ = false;
  return opened;
}

// Answers come in the order of the requests: that is all that connects the two.
Connection::InFlight Connection::take_answer(MonoTime now) {
  CHECK(answered_ > 0 && answered_ <= handed_);
  CHECK(handed_ <= flying_.size());
  --answered_;
  --handed_;
  exclusive_ = false;
  waiting_since_ = now;
  InFlight done = flying_.pop_front();
  CHECK(done.answer.status >= 200);
  return done;
}

std::optional<Connection::End> Connection::take_end() {
  const std::optional<End> end = end_;
  end_.reset();
  return end;
}

void Connection::clear() {
  CHECK(answered_ == 0);
  flying_.clear();
  handed_ = 0;
  exclusive_ = false;
}

void Connection::on_open() {
  if (state_ == State::closing) return;  // given up in the very moment
  enter(State::open);
  established_ = tell_opened_ = true;
}

// Only parses and notes. What was complete before the trouble keeps its answer.
void Connection::on_bytes(std::span<const std::byte> bytes) {
  CHECK(state_ == State::open);
  CHECK(!bytes.empty());
  while (!bytes.empty() && trouble_ == Trouble::none) {
    if (answered_ == handed_) {  // the answer to nothing: whose it is can only be guessed
      trouble_ = Trouble::malformed;
      return;
    }
    switch (parser_.next(bytes)) {
      case ResponseParser::Step::more:
        CHECK(bytes.empty());
        return;
      case ResponseParser::Step::malformed:
        trouble_ = Trouble::malformed;
        return;
      case ResponseParser::Step::answer:
        flying_[answered_++].answer = parser_.answer();
        useful_ = true;
        if (!parser_.answer().keep_alive) trouble_ = Trouble::last_answer;
        break;
    }
  }
}

void Connection::on_sent() {
  CHECK(send_in_flight_);
  send_in_flight_ = false;
}

// Deliveries stay until the Target has reported them: the coalescer owns their bytes until then.
void Connection::on_closed(Errc why) {
  CHECK(!end_);
  end_ = End{why, established_, asked_};
  enter(State::closed);
  send_in_flight_ = false;  // the span is ours again
  link_ = LinkId{};
}

}  // namespace purgeline
