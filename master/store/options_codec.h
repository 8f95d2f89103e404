// What few jobs have, queues and schedules as bytes: messages of reeve.store.v1.
//
// Thread: any.

#ifndef REEVE_MASTER_STORE_OPTIONS_CODEC_H_
#define REEVE_MASTER_STORE_OPTIONS_CODEC_H_

#include <string>
#include <string_view>
#include <vector>

#include "master/scheduler/effects.h"

namespace reeve {

// Decoders return false if the bytes are not what the encoder wrote.

// Queue, extras and selected tasks; empty for a plain job.
std::string EncodeJobMore(const JobOptions& options, const std::vector<Run>& selected);
bool DecodeJobMore(std::string_view bytes, JobOptions* options, std::vector<Run>* selected);
// But for the name.
std::string EncodeQueue(const QueueSettings& settings);
bool DecodeQueue(std::string_view bytes, QueueSettings* settings);
std::string EncodeProgress(const ScheduleProgress& progress);
bool DecodeProgress(std::string_view bytes, ScheduleProgress* progress);

}  // namespace reeve

#endif  // REEVE_MASTER_STORE_OPTIONS_CODEC_H_
