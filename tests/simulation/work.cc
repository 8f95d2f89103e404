#include "tests/simulation/work.h"

#include <cstring>

namespace reeve::sim {

uint64_t WordOf(std::string_view bytes, size_t index) {
  uint64_t word = 0;
  if ((index + 1) * sizeof word <= bytes.size())
    std::memcpy(&word, bytes.data() + index * sizeof word, sizeof word);
  return word;
}

uint64_t ArrayValue(uint64_t job_key, TaskIndex index) { return Mix(job_key, index); }
uint64_t InputValue(std::string_view input) { return Mix(WordOf(input, 0), 77); }
std::string AppendInput(uint64_t job_key, uint64_t appender, uint64_t offset) {
  const uint64_t word = Mix(Mix(job_key, appender + 1), offset);
  return std::string(reinterpret_cast<const char*>(&word), sizeof word);
}

const JobPlan& PlanOf(const SimConfig& config, const JobRow& row) {
  return PlanOf(config, WordOf(row.put.view.record.view(), 0));
}

uint64_t ValueOf(const JobRow& row, TaskIndex index) {
  for (size_t i = 0; i < row.chunks.size(); ++i) {
    const Run run = row.chunks[i].run;
    if (row.inputs[i] != nullptr && index >= run.first && index < run.end())
      return InputValue(row.inputs[i]->Input(index - run.first));
  }
  return ArrayValue(WordOf(row.put.view.record.view(), 0), index);
}

}  // namespace reeve::sim
