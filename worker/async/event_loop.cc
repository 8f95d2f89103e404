#include "worker/async/event_loop.h"

#include <utility>
// Asio 1.74 uses std::exchange without including it.
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <unordered_map>

namespace reeve {
namespace {

namespace asio = ::boost::asio;
using boost::system::error_code;

// Calls between two calls of `settle`: what has ended is not held up by what goes on.
constexpr int kShare = 256;

}  // namespace

struct EventLoop::Impl {
  struct Watched {
    explicit Watched(asio::io_context& io, int fd) : descriptor(io, fd) {}
    ~Watched() { descriptor.release(); }  // Not ours to close.

    asio::posix::stream_descriptor descriptor;
    bool readable = false, writable = false;  // Wanted.
    bool reading = false, writing = false;    // Waited for.
    std::function<void(bool, bool)> on_ready;
  };

  void Wait(const std::shared_ptr<Watched>& watched);

  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(io);
  bool stopping = false;
  uint64_t next_number = 1;
  std::unordered_map<uint64_t, std::unique_ptr<asio::steady_timer>> timers;
  std::unordered_map<int, std::shared_ptr<Watched>> watched;
};

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::Run(const std::function<void()>& settle) {
  while (!impl_->stopping) {
    impl_->io.run_one();
    for (int i = 1; i < kShare && impl_->io.poll_one() > 0; ++i) {
    }
    settle();
  }
}

void EventLoop::Stop() {
  Post([this] { impl_->stopping = true; });
}

void EventLoop::Post(std::function<void()> call) { asio::post(impl_->io, std::move(call)); }

uint64_t EventLoop::CallAfter(absl::Duration duration, std::function<void()> call) {
  const uint64_t number = impl_->next_number++;
  auto timer = std::make_unique<asio::steady_timer>(impl_->io);
  timer->expires_after(absl::ToChronoNanoseconds(std::min(duration, absl::Hours(24 * 365))));
  timer->async_wait([impl = impl_.get(), number, call = std::move(call)](const error_code&) {
    // One that expired before it was forgotten is no longer here.
    if (impl->timers.erase(number) > 0) call();
  });
  impl_->timers.emplace(number, std::move(timer));
  return number;
}

void EventLoop::ForgetCall(uint64_t number) { impl_->timers.erase(number); }

void EventLoop::Impl::Wait(const std::shared_ptr<Watched>& w) {
  using Kind = asio::posix::stream_descriptor::wait_type;
  if (w->readable && !w->reading) {
    w->reading = true;
    w->descriptor.async_wait(Kind::wait_read, [this, w](const error_code& error) {
      w->reading = false;
      if (error == asio::error::operation_aborted) return;
      if (w->readable) w->on_ready(true, false);
      Wait(w);
    });
  }
  if (w->writable && !w->writing) {
    w->writing = true;
    w->descriptor.async_wait(Kind::wait_write, [this, w](const error_code& error) {
      w->writing = false;
      if (error == asio::error::operation_aborted) return;
      if (w->writable) w->on_ready(false, true);
      Wait(w);
    });
  }
}

void EventLoop::Watch(int fd, bool readable, bool writable,
                      std::function<void(bool, bool)> on_ready) {
  std::shared_ptr<Impl::Watched>& watched = impl_->watched[fd];
  if (!readable && !writable) {
    if (watched != nullptr) {
      watched->readable = watched->writable = false;
      watched->descriptor.release();
    }
    impl_->watched.erase(fd);
    return;
  }
  if (watched == nullptr) {
    watched = std::make_shared<Impl::Watched>(impl_->io, fd);
    watched->on_ready = std::move(on_ready);  // Never replaced: it may be what runs.
  }
  watched->readable = readable;
  watched->writable = writable;
  impl_->Wait(watched);
}

}  // namespace reeve
