// A configuration file of YAML for CLI11: a map whose keys are the names of flags.
//
//   master: 10.0.0.5:7520
//   handlers: [exec, http]
//   resources: {gpu: 2, licence: 0.5}     # As [gpu=2, licence=0.5].
//   no-shell: true
//
// Private to worker/sdk.
//
// Thread: none.

#ifndef REEVE_WORKER_SDK_YAML_CONFIG_H_
#define REEVE_WORKER_SDK_YAML_CONFIG_H_

namespace CLI {
class App;
}  // namespace CLI

namespace reeve {

// Adds `--config FILE`. What the command line says counts more than the file, the file more than
// the environment. A key that is no flag, and a value that is no scalar, list or map of them, are
// usage errors.
void AddYamlConfig(CLI::App* app);

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_YAML_CONFIG_H_
