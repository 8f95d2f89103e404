#include "client/commands/api.h"

#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>

#include <iostream>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "base/strings.h"
#include "client/exit_code.h"
#include "client/output/json.h"
#include "client/reflection.h"

namespace reeve {
namespace {

absl::Status NoSuchSymbol(const std::string& symbol) {
  return MakeError(
      absl::StatusCode::kNotFound, "NO_SUCH_SYMBOL",
      StrCat("the master knows no ", symbol, "; `reeve api list` shows what it offers"));
}

// `reeve.v1.JobService/GetJob` or with a dot before the method.
std::string DottedName(std::string name) {
  if (const size_t slash = name.rfind('/'); slash != std::string::npos) name[slash] = '.';
  if (!name.empty() && name[0] == '.') name.erase(0, 1);
  return name;
}

absl::StatusOr<const google::protobuf::MethodDescriptor*> FindMethod(Reflection& reflection,
                                                                     const std::string& name) {
  const std::string dotted = DottedName(name);
  const size_t dot = dotted.rfind('.');
  if (dot == std::string::npos)
    return UsageError(StrCat("'", name, "': want PACKAGE.SERVICE/METHOD"));
  if (const absl::Status status = reflection.Load(dotted.substr(0, dot)); !status.ok())
    return status;
  const auto* method = reflection.pool().FindMethodByName(dotted);
  if (method == nullptr) return NoSuchSymbol(name);
  return method;
}

// The requests of a call: one document, or one per line for a streaming method.
class Requests {
 public:
  Requests(const google::protobuf::MethodDescriptor* method, std::istream* text)
      : method_(method), text_(text) {}

  // Encodes the next one. Returns: false behind the last, or on an error, which status() then
  // holds.
  bool Next(std::string* encoded) {
    std::string json;
    if (!ReadDocument(&json)) return false;
    const std::unique_ptr<google::protobuf::Message> message(
        factory_.GetPrototype(method_->input_type())->New());
    const auto parsed = google::protobuf::util::JsonStringToMessage(json, message.get());
    if (!parsed.ok()) {
      status_ = UsageError(StrCat("not a ", method_->input_type()->full_name(), ": ",
                                  std::string(parsed.message().data(), parsed.message().size())));
      return false;
    }
    return message->SerializeToString(encoded);
  }

  const absl::Status& status() const { return status_; }

 private:
  bool ReadDocument(std::string* json) {
    if (method_->client_streaming()) {
      while (std::getline(*text_, *json)) {
        if (json->find_first_not_of(" \t\r") != std::string::npos) return true;
      }
      return false;
    }
    if (is_done_) return false;
    is_done_ = true;
    std::stringstream all;
    all << text_->rdbuf();
    *json = all.str().empty() ? "{}" : all.str();
    return true;
  }

  const google::protobuf::MethodDescriptor* const method_;
  std::istream* const text_;
  google::protobuf::DynamicMessageFactory factory_;
  bool is_done_ = false;
  absl::Status status_;
};

std::string Signature(const google::protobuf::MethodDescriptor& method) {
  return StrCat(method.service()->full_name(), "/", method.name(), "(",
                method.client_streaming() ? "stream " : "", method.input_type()->full_name(),
                ") returns (", method.server_streaming() ? "stream " : "",
                method.output_type()->full_name(), ")");
}

}  // namespace

absl::StatusOr<int> RunApiList(Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  Reflection reflection(*client);
  const auto services = reflection.ListServices();
  if (!services.ok()) return services.status();
  std::string text;
  JsonWriter json;
  json.BeginObject().Key("methods").BeginArray();
  for (const std::string& name : *services) {
    // The health service is built into gRPC and has no description; it is named all the same.
    if (!reflection.Load(name).ok()) {
      StrAppend(&text, name, "\n");
      continue;
    }
    const auto* service = reflection.pool().FindServiceByName(name);
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
      StrAppend(&text, Signature(*service->method(i)), "\n");
      json.String(StrCat(name, "/", service->method(i)->name()));
    }
  }
  json.EndArray().EndObject();
  session.console().Out(session.console().is_json() ? json.text() + "\n" : text);
  return kExitOk;
}

absl::StatusOr<int> RunApiDescribe(Session& session, const std::string& symbol) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  Reflection reflection(*client);
  const std::string name = DottedName(symbol);
  const size_t dot = name.rfind('.');
  // Servers need not answer for a method: its service is asked for then.
  absl::Status status = reflection.Load(name);
  if (absl::IsNotFound(status) && dot != std::string::npos)
    status = reflection.Load(name.substr(0, dot));
  if (absl::IsNotFound(status)) return NoSuchSymbol(symbol);
  if (!status.ok()) return status;
  const google::protobuf::DescriptorPool& pool = reflection.pool();
  std::string text;
  if (const auto* service = pool.FindServiceByName(name)) {
    text = service->DebugString();
  } else if (const auto* method = pool.FindMethodByName(name)) {
    text = StrCat(Signature(*method), "\n\n", method->input_type()->DebugString(), "\n",
                  method->output_type()->DebugString());
  } else if (const auto* message = pool.FindMessageTypeByName(name)) {
    text = message->DebugString();
  } else if (const auto* values = pool.FindEnumTypeByName(name)) {
    text = values->DebugString();
  } else {
    return NoSuchSymbol(symbol);
  }
  if (session.console().is_json()) {
    JsonWriter json;
    json.BeginObject().Key("symbol").String(name).Key("text").String(text).EndObject();
    text = json.text() + "\n";
  }
  session.console().Out(text);
  return kExitOk;
}

absl::StatusOr<int> RunApiCall(Session& session, const std::string& name, const std::string& json) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  Reflection reflection(*client);
  const auto method = FindMethod(reflection, name);
  if (!method.ok()) return method.status();
  std::istringstream given(json);
  Requests requests(*method, json == "-" ? &std::cin : static_cast<std::istream*>(&given));
  google::protobuf::DynamicMessageFactory factory;
  const google::protobuf::Message* prototype = factory.GetPrototype((*method)->output_type());
  const bool is_stream = (*method)->server_streaming();
  const std::string path = StrCat("/", (*method)->service()->full_name(), "/", (*method)->name());
  const absl::Status status = CallRaw(
      *client, path, [&](std::string* encoded) { return requests.Next(encoded); },
      [&](std::string_view bytes) {
        const std::unique_ptr<google::protobuf::Message> answer(prototype->New());
        if (!answer->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
        session.console().Out(ToJson(*answer, !is_stream) + "\n");
      });
  if (!requests.status().ok()) return requests.status();
  if (!status.ok()) return status;
  return kExitOk;
}

}  // namespace reeve
