#include "engine/tokenizer/merge_table.h"

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <limits>
#include <queue>

namespace weir {
namespace {

// Up to here, looking at every pair after every merge beats keeping order.
constexpr size_t kShortPiece = 48;

// Places where one rank can be applied, taken leftmost first. They nearly always arrive in order, or in two or three orders
// that alternate, so these are queues, and a heap only for what fits into none.
class RankBucket {
 public:
  bool empty() const { return num_places_ == 0; }

  void Put(int32_t place) {
    ++num_places_;
    for (Queue& queue : queues_) {
      if (!queue.empty() && place < queue.places.back()) continue;
      if (queue.empty()) {
        queue.places.clear();
        queue.next = 0;
      }
      queue.places.push_back(place);
      return;
    }
    heap_.push_back(place);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  int32_t Take() {
    --num_places_;
    Queue* first = nullptr;
    for (Queue& queue : queues_)
      if (!queue.empty() && (first == nullptr || queue.front() < first->front())) first = &queue;
    if (first != nullptr && (heap_.empty() || first->front() < heap_.front()))
      return first->places[first->next++];
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    const int32_t place = heap_.back();
    heap_.pop_back();
    return place;
  }

 private:
  struct Queue {
    std::vector<int32_t> places;  // in order
    size_t next = 0;
    bool empty() const { return next == places.size(); }
    int32_t front() const { return places[next]; }
  };

  std::array<Queue, 3> queues_;
  std::vector<int32_t> heap_;
  size_t num_places_ = 0;
};

// Tokens as a linked list over their first places, and the open merges ordered by rank.
class LongMerge {
 public:
  LongMerge(const MergeTable& table, std::vector<int32_t>* tokens)
      : table_(table), tokens_(*tokens), recent_(kRecentPairs) {
    const auto size = static_cast<int32_t>(tokens_.size());
    nodes_.reserve(tokens_.size());
    for (int32_t i = 0; i < size; ++i) {
      nodes_.push_back({tokens_[i], i - 1, i + 1 < size ? i + 1 : kNobody, kNoMerge});
      if (i > 0) Offer(i - 1);
    }
  }

  void Run() {
    while (!ranks_.empty()) {
      const int32_t rank = ranks_.top();
      ranks_.pop();
      RankBucket& bucket = buckets_[*bucket_of_.Find(static_cast<uint32_t>(rank))];
      while (!bucket.empty()) {
        Apply(bucket.Take(), rank);
        // A merge may open an earlier one, which then goes first.
        if (!ranks_.empty() && ranks_.top() < rank) {
          if (!bucket.empty()) ranks_.push(rank);
          break;
        }
      }
      OfferNeighbours();
    }
    size_t kept = 0;
    for (int32_t i = 0; i != kNobody; i = nodes_[i].next) tokens_[kept++] = nodes_[i].token;
    tokens_.resize(kept);
  }

 private:
  static constexpr int32_t kNobody = -1;   // before the first and behind the last
  static constexpr int32_t kNoMerge = -1;  // of a node with what follows it
  static constexpr size_t kRecentPairs = 1024;

  struct Node {
    int32_t token;
    int32_t previous;
    int32_t next;
    int32_t merge;  // number among merges_ of the one with what follows; of a node that is gone, none
  };
  // One that this text has asked for.
  struct OpenMerge {
    int32_t rank;
    int32_t result;
    uint32_t bucket;
  };
  struct RecentPair {
    int32_t left = kNobody;
    int32_t right = kNobody;
    int32_t merge = kNoMerge;
  };

  void Offer(int32_t place) {
    if (place == kNobody) return;
    Node& node = nodes_[place];
    node.merge = node.next == kNobody ? kNoMerge : MergeOf(node.token, nodes_[node.next].token);
    if (node.merge == kNoMerge) return;
    const OpenMerge& merge = merges_[node.merge];
    RankBucket& bucket = buckets_[merge.bucket];
    // A bucket that holds something has its rank queued already, except the one being emptied, which goes on
    // anyway.
    if (bucket.empty()) ranks_.push(merge.rank);
    bucket.Put(place);
  }

  // A text asks for few pairs many times, and the table of all is larger than a cache.
  int32_t MergeOf(int32_t left, int32_t right) {
    const uint32_t hash =
        static_cast<uint32_t>(left) * 0x9e3779b1u ^ static_cast<uint32_t>(right) * 0x85ebca6bu;
    RecentPair& recent = recent_[hash >> 22];
    static_assert(kRecentPairs == size_t{1} << (32 - 22));
    if (recent.left != left || recent.right != right) recent = {left, right, FindMerge(left, right)};
    return recent.merge;
  }

  int32_t FindMerge(int32_t left, int32_t right) {
    const MergeTable::Merge* merge = table_.Find(left, right);
    if (merge == nullptr) return kNoMerge;
    const uint64_t key =
        static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    if (const int32_t* known = merge_of_.Find(key)) return *known;
    const auto number = static_cast<int32_t>(merges_.size());
    merge_of_.Put(key, number);
    merges_.push_back({merge->rank, merge->result, BucketOf(merge->rank)});
    return number;
  }

  // Several merges may have one rank.
  uint32_t BucketOf(int32_t rank) {
    if (const uint32_t* known = bucket_of_.Find(static_cast<uint32_t>(rank))) return *known;
    const auto number = static_cast<uint32_t>(buckets_.size());
    bucket_of_.Put(static_cast<uint32_t>(rank), number);
    buckets_.emplace_back();
    return number;
  }

  void Apply(int32_t place, int32_t rank) {
    Node& node = nodes_[place];
    if (node.merge == kNoMerge || merges_[node.merge].rank != rank) return;  // a neighbour has merged since
    Node& right = nodes_[node.next];
    node.token = merges_[node.merge].result;
    node.next = right.next;
    right.merge = kNoMerge;
    if (node.next != kNobody) nodes_[node.next].previous = place;
    if (table_.EarliestUse(node.token) <= rank) {
      Offer(node.previous);
      Offer(place);
      return;
    }
    // What it opens comes later: its neighbours may be others by then, and pairs with those are never asked for.
    node.merge = kNoMerge;
    if (node.previous != kNobody) nodes_[node.previous].merge = kNoMerge;
    merged_.push_back(place);
  }

  void OfferNeighbours() {
    int32_t last = kNobody;
    for (const int32_t place : merged_) {
      if (nodes_[place].previous != last) Offer(nodes_[place].previous);
      Offer(place);
      last = place;
    }
    merged_.clear();
  }

  const MergeTable& table_;
  std::vector<int32_t>& tokens_;
  std::vector<Node> nodes_;
  std::vector<int32_t> merged_;  // places whose merges nobody asked for yet, in order
  std::vector<RecentPair> recent_;
  FlatMap<int32_t> merge_of_;
  std::vector<OpenMerge> merges_;
  FlatMap<uint32_t> bucket_of_;
  std::deque<RankBucket> buckets_;  // which never move
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> ranks_;
};

}  // namespace

void MergeTable::MergeAll(std::vector<int32_t>* tokens) const {
  if (tokens->size() <= kShortPiece) {
    MergeShort(tokens);
  } else {
    MergeLong(tokens);
  }
}

void MergeTable::MergeShort(std::vector<int32_t>* tokens) const {
  if (tokens->size() < 2) return;
  constexpr Merge kNone{std::numeric_limits<int32_t>::max(), 0};
  Merge pairs[kShortPiece];
  const auto find = [&](size_t i) {
    const Merge* merge = Find((*tokens)[i], (*tokens)[i + 1]);
    return merge == nullptr ? kNone : *merge;
  };
  size_t size = tokens->size();
  for (size_t i = 0; i + 1 < size; ++i) pairs[i] = find(i);
  while (size > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < size; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNone.rank) break;
    (*tokens)[best] = pairs[best].result;
    tokens->erase(tokens->begin() + static_cast<std::ptrdiff_t>(best) + 1);
    --size;
    for (size_t i = best + 1; i + 1 < size; ++i) pairs[i] = pairs[i + 1];
    if (best + 1 < size) pairs[best] = find(best);
    if (best > 0) pairs[best - 1] = find(best - 1);
  }
}

void MergeTable::MergeLong(std::vector<int32_t>* tokens) const { LongMerge(*this, tokens).Run(); }

}  // namespace weir
