#include "control/config_load.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <system_error>

#include "control/config_check.h"
#include "control/config_file.h"
#include "control/config_merge.h"
#include "control/config_text.h"
#include "control/config_yaml.h"

namespace purgeline {
namespace {

using config::Node;
using config::Problems;
using config::Source;

constexpr std::size_t kMaxFiles = 256;  // of conf.d; one for each service of a host is far less

// Loader: one run from files to a Config.
class Loader {
 public:
  void add_text(const std::string& name, const std::string& text) {
    sources_.push_back({config::printable(name), {}, false});
    const std::size_t source = sources_.size() - 1;
    trees_.push_back(config::read_yaml(sources_, source, text, problems_));
    Node& tree = trees_.back();
    tree.mark.source = source;
    config::expand_off(schema_, tree);
    config::check_tree(schema_, tree, config::Extent::part, problems_);
  }

  void add_file(const std::filesystem::path& path) {
    std::string text;
    const std::string wrong = config::read_file(path.string(), config::kMaxFileBytes, text);
    if (wrong.empty()) {
      add_text(path.string(), text);
    } else {
      refuse(path, wrong);
    }
  }

  void add_folder(const std::filesystem::path& folder) {
    std::error_code error;
    std::filesystem::directory_iterator entries(folder, error);
    if (error == std::errc::no_such_file_or_directory) return;
    std::vector<std::filesystem::path> files;
    for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
      const std::string name = entries->path().filename().string();
      if (name[0] != '.' && entries->path().extension() == ".yaml")
        files.push_back(entries->path());
    }
    if (error) return refuse(folder, "cannot be read: " + error.message());
    if (files.size() > kMaxFiles) {
      return refuse(folder, "has more than " + std::to_string(kMaxFiles) + " files");
    }
    std::sort(files.begin(), files.end(),
              [](const auto& a, const auto& b) { return a.native() < b.native(); });
    for (const std::filesystem::path& file : files) add_file(file);
  }

  ConfigResult finish(Environment environment) {
    ConfigResult result;
    for (const Source& source : sources_) result.files.push_back(source.name);
    Node root;
    if (!trees_.empty()) root = std::move(trees_.front());
    for (std::size_t i = 1; i < trees_.size(); ++i) config::merge(root, std::move(trees_[i]));
    config::apply_environment(schema_, environment, root, sources_, problems_);
    if (sources_.empty()) return result;
    // What is missing in a file that could not be read is not missing.
    const bool all_read = std::none_of(sources_.begin(), sources_.end(),
                                       [](const Source& source) { return source.broken; });
    config::check_tree(schema_, root, all_read ? config::Extent::whole : config::Extent::part,
                       problems_);
    config::Bound bound = config::bind(root, sources_);
    config::check_relations(bound.config, root, problems_);
    config::read_property_files(bound.config, root, problems_);
    result.errors = problems_.take();
    if (!result.errors.empty()) return result;
    result.config = std::move(bound.config);
    result.origins = std::move(bound.origins);
    return result;
  }

 private:
  void refuse(const std::filesystem::path& path, const std::string& message) {
    sources_.push_back({config::printable(path.string()), {}, true});
    problems_.add({sources_.size() - 1, 0, 0}, "", {message, "", "", ""});
  }

  config::SchemaNode schema_{config::make_schema()};
  std::vector<Source> sources_;
  Problems problems_{sources_};
  std::vector<Node> trees_;
};

}  // namespace

ConfigResult load_config(const std::filesystem::path& file, Environment environment) {
  Loader loader;
  loader.add_file(file);
  loader.add_folder(file.parent_path() / "conf.d");
  return loader.finish(environment);
}

ConfigResult load_config_texts(std::span<const std::pair<std::string, std::string>> texts,
                               Environment environment) {
  Loader loader;
  for (const auto& [name, text] : texts) loader.add_text(name, text);
  return loader.finish(environment);
}

std::vector<std::pair<std::string, std::string>> process_environment() {
  std::vector<std::pair<std::string, std::string>> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

}  // namespace purgeline
