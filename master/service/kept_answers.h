// The answers of the last calls that changed something: a client that does not know whether its
// call arrived repeats it with the same request id.
//
// Thread: one at a time.

#ifndef REEVE_MASTER_SERVICE_KEPT_ANSWERS_H_
#define REEVE_MASTER_SERVICE_KEPT_ANSWERS_H_

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace reeve {

template <typename Answer>
class KeptAnswers {
 public:
  explicit KeptAnswers(size_t most) : most_(most) {}

  // Null if the call is unknown, or too long ago. Valid until the next Keep.
  const Answer* Find(std::string_view request_id) const {
    for (const auto& [id, answer] : kept_) {
      if (id == request_id) return &answer;
    }
    return nullptr;
  }

  // REQUIRES: Find(request_id) is null.
  void Keep(std::string request_id, Answer answer) {
    if (kept_.size() == most_) kept_.pop_front();
    kept_.emplace_back(std::move(request_id), std::move(answer));
  }

 private:
  const size_t most_;
  std::deque<std::pair<std::string, Answer>> kept_;
};

}  // namespace reeve

#endif  // REEVE_MASTER_SERVICE_KEPT_ANSWERS_H_
