#include "tests/simulation/network.h"

#include <algorithm>

namespace reeve::sim {
namespace {
constexpr int kToMasterSide = 0, kToWorkerSide = 1;
}  // namespace

int64_t Network::Arrival(Link& link, int direction) {
  const SimConfig& config = world_->config;
  int64_t at = world_->now + world_->network.Between(config.delay_min, config.delay_max);
  if (config.reorder && !world_->healed) return std::max(at, link.cut_until[direction]);
  at = std::max({at, link.cut_until[direction], link.last[direction] + 1});
  link.last[direction] = at;
  return at;
}

void Network::Transmit(Link& link, int direction, Kind kind, uint32_t worker, Frame frame) {
  const SimConfig& config = world_->config;
  const bool faults = !world_->healed;
  if (faults && world_->network.Chance(config.loss_permille)) return;
  if (faults && config.loss_permille > 0 && world_->now < link.cut_until[direction]) return;
  if (faults && world_->network.Chance(config.duplicate_permille))
    world_->At(Arrival(link, direction), kind, worker, frames_.Put(frame), link.route);
  world_->At(Arrival(link, direction), kind, worker, frames_.Put(std::move(frame)), link.route);
}

bool Network::ToMaster(uint32_t worker, Channel channel, Frame frame) {
  Link& to = link(worker, channel);
  if (to.route == 0) return false;
  Transmit(to, kToMasterSide, Kind::kToMaster, worker, std::move(frame));
  return true;
}

bool Network::ToWorker(uint64_t route, Frame frame) {
  for (uint32_t i = 0; i < links_.size(); ++i) {
    if (links_[i].route != route) continue;
    Transmit(links_[i], kToWorkerSide, Kind::kToWorker, i / 2, std::move(frame));
    return true;
  }
  return reachable_.contains(route);
}

void Network::Connect(uint32_t worker, Channel channel, uint64_t process) {
  world_->At(world_->now + world_->network.Between(1 * kMs, 500 * kMs), Kind::kConnect, worker,
             static_cast<uint64_t>(channel), process);
}

void Network::OnConnect(uint32_t worker, Channel channel, uint64_t process, bool possible) {
  Link& to = link(worker, channel);
  if (to.route != 0) return;
  const bool cut = world_->now < std::max(to.cut_until[0], to.cut_until[1]);
  if (!possible || cut) return Connect(worker, channel, process);
  to.route = next_route_++ << 1 | static_cast<uint64_t>(channel);
  to.process = process;
  to.last[0] = to.last[1] = world_->now;
  reachable_.insert(to.route);
  world_->Note("connected", worker, static_cast<uint64_t>(channel), to.route);
}

void Network::Break(uint32_t worker, Channel channel, bool silently) {
  Link& broken = link(worker, channel);
  if (!silently) reachable_.erase(broken.route);
  broken.route = 0;
}

void Network::BreakAll() {
  for (uint32_t i = 0; i < links_.size(); ++i) {
    if (links_[i].route == 0) continue;
    const auto channel = static_cast<Channel>(i % 2);
    Break(i / 2, channel, false);
    Connect(i / 2, channel, links_[i].process);
  }
  reachable_.clear();
}

void Network::Cut(uint32_t worker, bool to_master, int64_t until) {
  for (const Channel channel : {Channel::kDispatch, Channel::kCollector}) {
    int64_t& cut = link(worker, channel).cut_until[to_master ? kToMasterSide : kToWorkerSide];
    cut = std::max(cut, until);
  }
}

void Network::HealAll() {
  for (Link& link : links_) link.cut_until[0] = link.cut_until[1] = 0;
}

}  // namespace reeve::sim
