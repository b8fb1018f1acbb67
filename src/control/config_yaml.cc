#include "control/config_yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <sstream>
#include <utility>

#include "control/config_text.h"
#include "purgeline/check.h"

namespace purgeline::config {
namespace {

// Thrown through yaml-cpp to stop it; never leaves this file.
struct TooMuch {};

// Builder: turns yaml-cpp's events into a tree, with a stack of the containers that are open.
//
// Events and not YAML::Node, because a Node has already resolved aliases (480 bytes can mean 22
// million nodes), dropped keys that stand twice, and forgotten which scalars were quoted.
class Builder final : public YAML::EventHandler {
 public:
  Builder(std::size_t source, Problems& problems) : source_(source), problems_(problems) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ == 0) return;
    report(place(mark), {"has a second document, only one is read", "", "one document", ""});
    throw TooMuch{};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    accept(node(Node::Kind::null, mark, "", anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    report(place(mark),
           {"uses a YAML alias (*name), which is not supported", "", "the value itself", ""});
    accept(node(Node::Kind::refused, mark, "", 0));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node scalar = node(Node::Kind::scalar, mark, tag, anchor);
    scalar.text = value;
    accept(std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(node(Node::Kind::list, mark, tag, anchor));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(node(Node::Kind::map, mark, tag, anchor));
  }
  void OnMapEnd() override { close(); }

  // After a mistake in `line`, what is still open: a list may be unfinished, and what stands in the
  // line itself may have been meant otherwise. Neither is judged.
  void give_up(std::size_t line) {
    for (Open& open : stack_) {
      if (open.node.kind == Node::Kind::list) open.node.kind = Node::Kind::refused;
      auto& members = open.node.members;
      const auto unsure = [&](const Member& member) {
        return member.value.mark.line >= line;
      };
      members.erase(std::remove_if(members.begin(), members.end(), unsure), members.end());
    }
  }

  // Also after an exception: then the containers still open are closed as they are.
  Node take() {
    while (!stack_.empty()) close();
    return std::move(root_);
  }

  [[nodiscard]] Mark place(const YAML::Mark& mark) const {
    const auto from_one = [](int n) {
      return n < 0 ? std::size_t{1} : static_cast<std::size_t>(n) + 1;
    };
    return {source_, from_one(mark.line), from_one(mark.column)};
  }

 private:
  // A container under construction. In a map a node is a key when none is pending, else its value.
  struct Open {
    Node node;
    std::optional<Member> pending;
    bool dropped{false};  // the pending key is no name, or stands twice
    std::string path;
  };

  Node node(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    Node made;
    made.kind = kind;
    made.mark = place(mark);
    if (++nodes_ > kMaxNodes) {
      report(made.mark, {"has too many values", "", "at most " + std::to_string(kMaxNodes), ""});
      throw TooMuch{};
    }
    if (anchor != 0) {
      report(made.mark, {"has a YAML anchor (&name), which is not supported", "",
                         "the value without an anchor", ""});
    }
    // "?" is yaml-cpp's word for a plain scalar, "!" for a quoted one.
    if (!tag.empty() && tag != "?" && tag != "!") {
      report(made.mark,
             {"has a YAML tag, which is not supported", tag, "the value without a tag", ""});
      made.kind = kind == Node::Kind::scalar ? Node::Kind::refused : kind;
    }
    return made;
  }

  void open(Node container) {
    if (stack_.size() >= kMaxDepth) {
      report(container.mark,
             {"is nested too deeply", "", "at most " + std::to_string(kMaxDepth) + " levels", ""});
      throw TooMuch{};
    }
    std::string path = child_path();
    stack_.push_back({std::move(container), std::nullopt, false, std::move(path)});
  }

  void close() {
    CHECK(!stack_.empty());
    Node done = std::move(stack_.back().node);
    stack_.pop_back();
    accept(std::move(done));
  }

  void accept(Node done) {
    if (stack_.empty()) {
      root_ = std::move(done);
      return;
    }
    Open& parent = stack_.back();
    if (parent.node.kind == Node::Kind::list || parent.node.kind == Node::Kind::refused) {
      parent.node.items.push_back(std::move(done));
    } else if (!parent.pending) {
      accept_key(parent, std::move(done));
    } else {
      parent.pending->value = std::move(done);
      if (!parent.dropped) parent.node.members.push_back(std::move(*parent.pending));
      parent.pending.reset();
    }
  }

  void accept_key(Open& parent, Node key) {
    const Mark mark = key.mark;
    parent.dropped = key.kind != Node::Kind::scalar;
    if (parent.dropped && key.kind != Node::Kind::refused) {
      problems_.add(mark, parent.path, {"has a key that is not text", "", "a name", ""});
    }
    for (const Member& member : parent.node.members) {
      if (parent.dropped || member.key != key.text) continue;
      parent.dropped = true;
      problems_.add(mark, join(parent.path, key.text),
                    {"stands twice, first in line " + std::to_string(member.mark.line), "",
                     "one of them", ""});
    }
    parent.pending = Member{std::move(key.text), mark, Node{}};
  }

  static std::string join(const std::string& path, const std::string& key) {
    return path.empty() ? key : path + "." + key;
  }

  // The path of the node that comes next.
  [[nodiscard]] std::string child_path() const {
    if (stack_.empty()) return {};
    const Open& parent = stack_.back();
    if (parent.node.kind == Node::Kind::list) {
      return parent.path + "[" + std::to_string(parent.node.items.size()) + "]";
    }
    return parent.pending ? join(parent.path, parent.pending->key) : parent.path;
  }

  void report(const Mark& mark, Complaint complaint) {
    problems_.add(mark, child_path(), std::move(complaint));
  }

  std::size_t source_;
  Problems& problems_;
  std::vector<Open> stack_;
  Node root_;
  std::size_t nodes_{0};
  std::size_t documents_{0};
};

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(std::move(line));
  }
  return lines;
}

// yaml-cpp would read UTF-16 and NUL bytes, and then no column would be right.
bool is_text(std::size_t source, const std::string& text, Problems& problems) {
  if (is_utf8(text) && text.find('\0') == std::string::npos) return true;
  problems.add({source, 0, 0}, "", {"is not UTF-8 text", "", "", ""});
  return false;
}

}  // namespace

Node read_yaml(std::vector<Source>& sources, std::size_t source, const std::string& text,
               Problems& problems) {
  CHECK(source < sources.size());
  Builder builder(source, problems);
  sources[source].broken = !is_text(source, text, problems);
  if (sources[source].broken) return builder.take();
  sources[source].lines = split_lines(text);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const TooMuch&) {
    sources[source].broken = true;  // reported where it was found
  } catch (const YAML::Exception& exception) {
    sources[source].broken = true;
    builder.give_up(builder.place(exception.mark).line);
    problems.add(builder.place(exception.mark), "",
                 {"is not valid YAML: " + exception.msg, "", "", ""});
  } catch (const std::exception& exception) {
    sources[source].broken = true;
    problems.add({source, 0, 0}, "",
                 {std::string("is not valid YAML: ") + exception.what(), "", "", ""});
  }
  return builder.take();
}

}  // namespace purgeline::config
