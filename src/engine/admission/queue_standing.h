// Where a new request would stand among those that wait, when they are served in fair turns and not in the order of arrival;
// and who must leave a full queue when somebody comes who has less than a fair share of it.
//
// Units     sequences and uncached prompt tokens that are promised a place and do not run yet
// Errors    none
// Threads   pure functions
//
// A fluid approximation: while a flow's own backlog is served, each other flow is served in proportion to its weight, as
// far as its backlog goes.
#pragma once

#include <cstdint>
#include <span>

#include "engine/request/request_owner.h"

namespace weir {

struct QueuedFlow {
  RequestClass service_class = RequestClass::kDefault;
  double weight = 1;  // of owner and class together
  int num_sequences = 0;
  int64_t tokens = 0;
  int num_evicting = 0;  // of the sequences, told to leave and not gone yet
};

struct QueueStanding {
  double share = 1;  // of the queue's bounds, which its class may fill
  int num_ahead = 0;
  int64_t tokens_ahead = 0;
};

// 1, 0.9, 0.5 and 0.25, from interactive to sheddable.
double QueueShareOf(RequestClass service_class);

// Of a newcomer to flows[own]. A retry counts as one class lower for the share, so that retries are shed first.
QueueStanding StandingOf(std::span<const QueuedFlow> flows, size_t own, bool is_retry);

// The flow that must give up a place for a newcomer to flows[own], or -1: the one most above its share, of the same or a
// lower class, if the newcomer's stays at or below its own.
int FlowToEvict(std::span<const QueuedFlow> flows, size_t own);

}  // namespace weir
