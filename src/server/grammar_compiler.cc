#include "server/grammar_compiler.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "server/schema_grammar.h"

namespace weir {
namespace {

constexpr size_t kMaxKnown = 16;
// Masks that are not ready by then are computed when they are needed, by the engine.
constexpr Duration kPrepareTime = std::chrono::milliseconds(60);

std::shared_ptr<const GrammarVocabulary> VocabularyOf(const Tokenizer& tokenizer) {
  std::vector<std::string_view> texts;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    texts.push_back(tokenizer.is_special(id) ? std::string_view() : tokenizer.TokenBytes(id, true));
  return GrammarVocabulary::Create(std::move(texts));
}

std::string KeyOf(const OutputConstraint& constraint) {
  return fmt::format("{}:{}:{}", static_cast<int>(constraint.kind), constraint.max_calls,
                     DumpJson(constraint.schema));
}

}  // namespace

std::shared_ptr<void> GrammarCompiler::Compile(const Tokenizer& tokenizer, const OutputConstraint& constraint,
                                               IoContext& io, Done done) {
  auto waiter = std::make_shared<Done>(std::move(done));
  MutexLock lock(mutex_);
  if (stopping_) return waiter;
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  jobs_.push_back({&tokenizer, constraint, KeyOf(constraint), &io, waiter});
  changed_.NotifyOne();
  return waiter;
}

void GrammarCompiler::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    jobs_.clear();
    changed_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
}

int GrammarCompiler::num_waiting() const {
  MutexLock lock(mutex_);
  return static_cast<int>(jobs_.size()) + (compiles_ ? 1 : 0);
}

void GrammarCompiler::Run() {
  while (true) {
    Job job;
    {
      MutexLock lock(mutex_);
      compiles_ = false;
      while (jobs_.empty() && !stopping_) changed_.Wait(mutex_);
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      compiles_ = true;
    }
    if (job.waiter.expired()) continue;
    Result<std::shared_ptr<Grammar>> made = Make(job);
    MutexLock lock(mutex_);
    if (stopping_) return;
    job.io->Post([waiter = job.waiter, result = std::move(made)] {
      if (const std::shared_ptr<Done> done = waiter.lock()) (*done)(result);
    });
  }
}

Result<std::shared_ptr<Grammar>> GrammarCompiler::Make(const Job& job) {
  if (std::shared_ptr<Grammar> known = Remembered(job.key)) return known;
  if (vocabulary_ == nullptr) vocabulary_ = VocabularyOf(*job.tokenizer);
  const OutputConstraint& wanted = job.constraint;
  Result<std::shared_ptr<Grammar>> made = wanted.kind == OutputConstraint::Kind::kAnyObject
                                              ? CompileAnyObject(vocabulary_)
                                          : wanted.kind == OutputConstraint::Kind::kToolCalls
                                              ? CompileToolCalls(wanted.schema, wanted.max_calls, vocabulary_)
                                              : CompileSchema(wanted.schema, vocabulary_);
  WEIR_RETURN_IF_ERROR(made.status());
  std::shared_ptr<Grammar> grammar = std::move(made).value();
  grammar->Prepare(kPrepareTime, [&] { return job.waiter.expired(); });
  Remember(job.key, grammar);
  return grammar;
}

std::shared_ptr<Grammar> GrammarCompiler::Remembered(const std::string& key) {
  MutexLock lock(mutex_);
  for (auto one = known_.begin(); one != known_.end(); ++one) {
    if (one->first != key) continue;
    known_.splice(known_.begin(), known_, one);
    return one->second;
  }
  return nullptr;
}

void GrammarCompiler::Remember(const std::string& key, std::shared_ptr<Grammar> grammar) {
  MutexLock lock(mutex_);
  known_.emplace_front(key, std::move(grammar));
  if (known_.size() > kMaxKnown) known_.pop_back();
}

}  // namespace weir
