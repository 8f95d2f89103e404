// Logging at the edges: one line an event, `key=value`, past tense.
//
//   REEVE_LOG_INFO("worker joined worker={} host={}", name, host);
//
// Lines go to standard error: `2026-11-24T10:00:00.123 I reeve-master worker joined worker=w-3
// host=a`. Control characters in values are escaped. The store is the record; logs are not. Thread:
// any.

#ifndef REEVE_BASE_LOG_H_
#define REEVE_BASE_LOG_H_

#include <string_view>
#include <utility>

#include "spdlog/fmt/fmt.h"

namespace reeve {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Names the program in each line and sets the level from REEVE_LOG (debug, info, warning, error;
// default info).
void InitLog(std::string_view program);
bool LogEnabled(LogLevel level);
void Log(LogLevel level, std::string_view line);

}  // namespace reeve

#define REEVE_LOG_AT(level, ...)                                                   \
  do {                                                                             \
    if (::reeve::LogEnabled(level)) ::reeve::Log(level, fmt::format(__VA_ARGS__)); \
  } while (false)
#define REEVE_LOG_DEBUG(...) REEVE_LOG_AT(::reeve::LogLevel::kDebug, __VA_ARGS__)
#define REEVE_LOG_INFO(...) REEVE_LOG_AT(::reeve::LogLevel::kInfo, __VA_ARGS__)
#define REEVE_LOG_WARNING(...) REEVE_LOG_AT(::reeve::LogLevel::kWarning, __VA_ARGS__)
#define REEVE_LOG_ERROR(...) REEVE_LOG_AT(::reeve::LogLevel::kError, __VA_ARGS__)

#endif  // REEVE_BASE_LOG_H_
