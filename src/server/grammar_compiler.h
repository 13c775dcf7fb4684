// Compiles what a request constrains its output to, on a thread of its own, and remembers the last few results.
//
// Requires  Stop() before the io threads end; the tokenizer outlives it, and is always the same
// Owns      its thread and the remembered grammars
// Errors    as schema_grammar.h, handed to the callback
// Threads   any; the callback runs on the io thread that was named
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/json.h"
#include "base/mutex.h"
#include "base/result.h"
#include "engine/grammar/grammar.h"
#include "engine/tokenizer/tokenizer.h"
#include "net/http/server.h"
#include "net/openai/request_types.h"

namespace weir {

class GrammarCompiler {
 public:
  using Done = std::function<void(Result<std::shared_ptr<Grammar>>)>;

  ~GrammarCompiler() { Stop(); }

  // Dropping the returned handle cancels: nothing is called then, and work that has not ended is left.
  std::shared_ptr<void> Compile(const Tokenizer& tokenizer, const OutputConstraint& constraint, IoContext& io,
                                Done done);
  void Stop();
  // Not compiled yet, the one under way included.
  int num_waiting() const;

 private:
  struct Job {
    const Tokenizer* tokenizer;
    OutputConstraint constraint;
    std::string key;
    IoContext* io;
    std::weak_ptr<Done> waiter;
  };

  void Run();
  Result<std::shared_ptr<Grammar>> Make(const Job& job);
  std::shared_ptr<Grammar> Remembered(const std::string& key);
  void Remember(const std::string& key, std::shared_ptr<Grammar> grammar);

  std::shared_ptr<const GrammarVocabulary> vocabulary_;  // of the compiling thread alone
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Job> jobs_ GUARDED_BY(mutex_);
  std::list<std::pair<std::string, std::shared_ptr<Grammar>>> known_ GUARDED_BY(mutex_);  // last used first
  bool compiles_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace weir
