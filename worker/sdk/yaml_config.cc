#include "worker/sdk/yaml_config.h"

#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "yaml-cpp/yaml.h"

namespace reeve {
namespace {

class YamlConfig final : public CLI::Config {
 public:
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    try {
      return Items(YAML::Load(input));
    } catch (const YAML::Exception& error) {
      throw CLI::ConversionError(std::string("--config: ") + error.what());
    }
  }

 private:
  static std::vector<CLI::ConfigItem> Items(const YAML::Node& root) {
    std::vector<CLI::ConfigItem> items;
    if (root.IsNull()) return items;
    if (!root.IsMap()) throw CLI::ConversionError("--config: the file is no map of flags");
    for (const auto& entry : root) {
      CLI::ConfigItem& item = items.emplace_back();
      item.name = entry.first.as<std::string>();
      item.inputs = Values(item.name, entry.second);
    }
    return items;
  }

  static std::vector<std::string> Values(const std::string& name, const YAML::Node& value) {
    if (value.IsScalar()) return {value.Scalar()};
    const auto bad = [&name] {
      return CLI::ConversionError("--config: " + name +
                                  ": a value, or a list or map of values, is wanted");
    };
    std::vector<std::string> values;
    for (const auto& one : value) {
      const YAML::Node& scalar = value.IsMap() ? one.second : one;
      if (!scalar.IsScalar()) throw bad();
      values.push_back(value.IsMap() ? one.first.as<std::string>() + "=" + scalar.Scalar()
                                     : scalar.Scalar());
    }
    if (values.empty()) throw CLI::ConversionError("--config: " + name + ": there is no value");
    return values;
  }
};

}  // namespace

void AddYamlConfig(CLI::App* app) {
  app->config_formatter(std::make_shared<YamlConfig>());
  app->set_config("--config", "", "YAML file with flags by name, e.g. `handlers: [exec, http]`")
      ->type_name("FILE");
  app->allow_config_extras(false);
}

}  // namespace reeve
