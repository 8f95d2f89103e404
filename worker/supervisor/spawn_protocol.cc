#include "worker/supervisor/spawn_protocol.h"

namespace reeve {
namespace {

// Beyond the number of any resource; the system says which there are.
constexpr uint64_t kMostResource = 1000;

void PutTexts(const std::vector<std::string>& texts, RecordWriter* writer) {
  writer->Number(texts.size());
  for (const std::string& text : texts) writer->Text(text);
}

void TakeTexts(RecordReader* reader, std::vector<std::string>* texts) {
  for (uint64_t n = reader->Number(); n > 0 && reader->ok(); --n) texts->push_back(reader->Text());
}

}  // namespace

std::string EncodeSpawn(const SpawnRequest& request) {
  RecordWriter writer(SpawnMessage::kSpawn);
  writer.Number(request.id);
  PutTexts(request.argv, &writer);
  PutTexts(request.environment, &writer);
  writer.Text(request.working_directory);
  writer.Number(request.exclusive ? 1 : 0);
  writer.Number(request.progress >= 0 ? 1 : 0);
  writer.Number(request.limits.size());
  for (const ResourceLimit& limit : request.limits) {
    writer.Number(static_cast<uint64_t>(limit.resource));
    writer.Number(limit.soft);
    writer.Number(limit.hard);
  }
  return writer.Finish();
}

std::string EncodeKill(uint64_t id, int signal) {
  RecordWriter writer(SpawnMessage::kKill);
  writer.Number(id);
  writer.Number(static_cast<uint64_t>(signal));
  return writer.Finish();
}

std::string EncodeDeadline(absl::Duration until) {
  RecordWriter writer(SpawnMessage::kDeadline);
  writer.Number(static_cast<uint64_t>(absl::ToInt64Nanoseconds(until)));
  return writer.Finish();
}

std::string EncodeEvent(const SpawnEvent& event) {
  RecordWriter writer(SpawnMessage::kEvent);
  writer.Number(static_cast<uint64_t>(event.kind));
  writer.Number(event.id);
  writer.Number(static_cast<uint64_t>(event.error));
  writer.Number(event.directory ? 1 : 0);
  writer.Number(static_cast<uint64_t>(event.wait_status));
  writer.Number(event.fenced ? 1 : 0);
  return writer.Finish();
}

bool DecodeSpawn(std::string_view body, SpawnRequest* request) {
  RecordReader reader(body);
  request->id = reader.Number();
  TakeTexts(&reader, &request->argv);
  TakeTexts(&reader, &request->environment);
  request->working_directory = reader.Text();
  const uint64_t exclusive = reader.Number();
  if (exclusive > 1) return false;
  request->exclusive = exclusive == 1;
  const uint64_t has_progress = reader.Number();
  if (has_progress > 1) return false;
  request->progress = has_progress == 1 ? 0 : -1;
  for (uint64_t n = reader.Number(); n > 0 && reader.ok(); --n) {
    const uint64_t resource = reader.Number();
    if (resource > kMostResource) return false;
    request->limits.push_back({static_cast<int>(resource), reader.Number(), reader.Number()});
  }
  return reader.ok() && reader.at_end() && !request->argv.empty();
}

bool DecodeKill(std::string_view body, uint64_t* id, int* signal) {
  RecordReader reader(body);
  *id = reader.Number();
  *signal = static_cast<int>(reader.Number());
  return reader.ok() && reader.at_end();
}

bool DecodeDeadline(std::string_view body, absl::Duration* until) {
  RecordReader reader(body);
  *until = absl::Nanoseconds(static_cast<int64_t>(reader.Number()));
  return reader.ok() && reader.at_end();
}

bool DecodeEvent(std::string_view body, SpawnEvent* event) {
  RecordReader reader(body);
  const uint64_t kind = reader.Number();
  event->kind = static_cast<SpawnEvent::Kind>(kind);
  event->id = reader.Number();
  event->error = static_cast<int>(reader.Number());
  event->directory = reader.Number() != 0;
  event->wait_status = static_cast<int>(reader.Number());
  event->fenced = reader.Number() != 0;
  return reader.ok() && reader.at_end() && kind >= 1 && kind <= 2;
}

}  // namespace reeve
