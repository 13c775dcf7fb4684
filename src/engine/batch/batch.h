// The flattened input of one step: every scheduled token of every sequence, in rows.
//
// Shapes    tokens, positions, slots: [num_rows]; rows of one sequence are consecutive and ascending in position, and either
//           all of its prompt or all generated; those of prompts come first
// Owns      its vectors, reused from step to step
// Threads   engine thread only
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kvcache/block_table.h"

namespace weir {

// Whether a token came with the request or was chosen by the model. It stays what it is when it is computed again, so a model
// may compute the two in different ways and still give every request the same bits in any company.
enum class TokenOrigin { kPrompt, kGenerated };

struct BatchSequence {
  int first_row = 0;
  int num_rows = 0;
  int context_length = 0;  // tokens in the cache once this step's rows are written
  int first_block = 0;     // index into Batch::block_ids
  int num_blocks = 0;
  int adapter = 0;  // of its rows: 0 none, else the model's first, second, ...
};

struct Batch {
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<int64_t> slots;  // where each row's K and V go
  std::vector<BatchSequence> sequences;
  std::vector<BlockId> block_ids;   // block tables of all sequences, one after another
  std::vector<int32_t> logit_rows;  // rows whose logits are wanted, ascending
  int num_prompt_rows = 0;

  int num_rows() const { return static_cast<int>(positions.size()); }
  void Clear();
  // Appends rows for tokens[first_position .. first_position + count) of a sequence whose table covers them.
  void AddSequence(TokenOrigin origin, const int32_t* sequence_tokens, int first_position, int count,
                   const BlockTable& table, bool wants_last_logits, bool wants_all_logits = false,
                   int adapter = 0);
  // Becomes the rows of `batch` whose logits are wanted, where they do not change: every sequence wants those of its last row, of all or
  // of none. Tokens and slots are left out, as their keys and values are in the cache by then; first_block is still an index into
  // batch.block_ids.
  void TakeLogitRows(const Batch& batch);
};

}  // namespace weir
