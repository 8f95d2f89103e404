// Metadata of rows as bytes: small column messages in protobuf wire form, private to the store.

#ifndef REEVE_MASTER_STORE_ROW_CODEC_H_
#define REEVE_MASTER_STORE_ROW_CODEC_H_

#include <string>
#include <string_view>
#include <vector>

#include "master/scheduler/effects.h"

namespace reeve {

// Decoders return false if the bytes are not what the encoder wrote.
std::string EncodeRuns(const std::vector<Run>& runs);
bool DecodeRuns(std::string_view bytes, std::vector<Run>* runs);
// Positions of the inputs of a chunk that are tasks; empty: all. Sound only if they are as many as
// `count`.
std::string EncodePositions(const PositionsRef& positions);
bool DecodePositions(std::string_view bytes, uint32_t count, PositionsRef* positions);
std::string EncodeResultRuns(const std::vector<ResultRun>& runs);
bool DecodeResultRuns(std::string_view bytes, std::vector<ResultRun>* runs);
std::string EncodeRetries(const std::vector<RetryOutcome>& retries);
bool DecodeRetries(std::string_view bytes, std::vector<RetryOutcome>* retries);
std::string EncodeCounts(const TaskCounts& counts);
bool DecodeCounts(std::string_view bytes, TaskCounts* counts);
// What else is of a job's state, to stand behind its counts: they skip it, and it skips them.
std::string EncodeEnding(bool paused, const Ending& ending);
bool DecodeEnding(std::string_view bytes, bool* paused, Ending* ending);
// Of the tasks of a chunk, or none.
std::string EncodeTaskKeys(const std::vector<uint64_t>& keys);
bool DecodeTaskKeys(std::string_view bytes, uint32_t count, std::vector<uint64_t>* keys);

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_ROW_CODEC_H_
