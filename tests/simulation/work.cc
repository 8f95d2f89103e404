#include "tests/simulation/work.h"

#include <cstring>

namespace reeve::sim {

std::string WorkerId(uint32_t worker) { return "worker-" + std::to_string(worker); }

uint32_t WorkerNumberOf(const std::string& worker_id) {
  return static_cast<uint32_t>(std::stoul(worker_id.substr(worker_id.rfind('-') + 1)));
}

uint64_t WordOf(std::string_view bytes, size_t index) {
  uint64_t word = 0;
  if ((index + 1) * sizeof word <= bytes.size())
    std::memcpy(&word, bytes.data() + index * sizeof word, sizeof word);
  return word;
}

uint64_t ArrayValue(uint64_t job_key, TaskIndex index) { return Mix(job_key, index); }
uint64_t InputValue(const SimConfig& config, uint64_t job_key, std::string_view input) {
  const uint64_t value = Mix(WordOf(input, 0), 77);
  // The inputs of a retry job are those of another.
  return PlanOf(config, job_key).asks.retries < 0 ? value : Mix(value, job_key);
}
std::string AppendInput(uint64_t job_key, uint64_t appender, uint64_t offset) {
  const uint64_t word = Mix(Mix(job_key, appender + 1), offset);
  return std::string(reinterpret_cast<const char*>(&word), sizeof word);
}

std::string NodeInput(uint64_t job_key, uint64_t node) {
  const uint64_t words[] = {Mix(Mix(job_key, 555), node), node, job_key};
  return std::string(reinterpret_cast<const char*>(words), sizeof words);
}

InputKey NodeKey(uint64_t node) { return {{node, Mix(node, 5)}}; }

std::vector<std::string> ChildrenOf(const SimConfig& config, std::string_view input) {
  const uint64_t job_key = WordOf(input, 2), hash = Mix(Mix(job_key, 556), NodeOf(input));
  const uint32_t nodes = PlanOf(config, job_key).nodes;
  std::vector<std::string> children;
  for (uint64_t i = 0; i < hash % 4; ++i)
    children.push_back(NodeInput(job_key, Mix(hash, i) % nodes));
  return children;
}

std::string ClientInput(const SimConfig& config, uint64_t job_key, uint64_t appender,
                        uint64_t offset) {
  const std::string input = AppendInput(job_key, appender, offset);
  const uint32_t nodes = PlanOf(config, job_key).nodes;
  return nodes == 0 ? input : NodeInput(job_key, WordOf(input, 0) % nodes);
}

const JobPlan& PlanOf(const SimConfig& config, const JobRow& row) {
  return PlanOf(config, WordOf(row.put.view.record.view(), 0));
}

std::string_view InputOf(const JobRow& row, TaskIndex index) {
  for (size_t i = 0; i < row.chunks.size(); ++i) {
    const Run run = row.chunks[i].run;
    const PositionsRef& positions = row.chunks[i].positions;
    if (row.inputs[i] == nullptr || index < run.first || index >= run.end()) continue;
    const uint32_t nth = index - run.first;
    return row.inputs[i]->Input(positions == nullptr ? nth : positions->At(nth));
  }
  return {};
}

uint64_t ValueOf(const SimConfig& config, const JobRow& row, TaskIndex index) {
  const uint64_t job_key = WordOf(row.put.view.record.view(), 0);
  const std::string_view input = InputOf(row, index);
  return input.empty() ? ArrayValue(job_key, index) : InputValue(config, job_key, input);
}

}  // namespace reeve::sim
