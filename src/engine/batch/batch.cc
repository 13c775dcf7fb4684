#include "engine/batch/batch.h"

#include "base/check.h"

namespace weir {

void Batch::Clear() {
  tokens.clear();
  positions.clear();
  slots.clear();
  sequences.clear();
  block_ids.clear();
  logit_rows.clear();
  num_prompt_rows = 0;
}

void Batch::AddSequence(TokenOrigin origin, const int32_t* sequence_tokens, int first_position, int count,
                        const BlockTable& table, bool wants_last_logits, bool wants_all_logits, int adapter) {
  DCHECK(first_position >= 0 && count > 0);
  if (origin == TokenOrigin::kPrompt) {
    DCHECK(num_prompt_rows == num_rows());
    num_prompt_rows += count;
  }
  BatchSequence sequence;
  sequence.first_row = num_rows();
  sequence.num_rows = count;
  sequence.adapter = adapter;
  sequence.context_length = first_position + count;
  sequence.first_block = static_cast<int>(block_ids.size());
  sequence.num_blocks = BlocksFor(sequence.context_length);
  DCHECK(static_cast<size_t>(sequence.num_blocks) <= table.blocks().size());

  for (int position = first_position; position < sequence.context_length; ++position) {
    const bool is_last = position + 1 == sequence.context_length;
    if (wants_all_logits || (wants_last_logits && is_last)) logit_rows.push_back(num_rows());
    tokens.push_back(sequence_tokens[position]);
    positions.push_back(position);
    slots.push_back(table.SlotOf(position));
  }
  const auto blocks = table.blocks().first(static_cast<size_t>(sequence.num_blocks));
  block_ids.insert(block_ids.end(), blocks.begin(), blocks.end());
  sequences.push_back(sequence);
}

void Batch::TakeLogitRows(const Batch& batch) {
  Clear();
  auto wanted = batch.logit_rows.begin();
  for (const BatchSequence& sequence : batch.sequences) {
    const auto first = wanted;
    while (wanted != batch.logit_rows.end() && *wanted < sequence.first_row + sequence.num_rows) ++wanted;
    if (first == wanted) continue;
    BatchSequence kept = sequence;
    kept.first_row = static_cast<int>(positions.size());
    kept.num_rows = static_cast<int>(wanted - first);
    DCHECK(*first + kept.num_rows == sequence.first_row + sequence.num_rows);
    for (auto row = first; row != wanted; ++row) {
      logit_rows.push_back(static_cast<int32_t>(positions.size()));
      positions.push_back(batch.positions[static_cast<size_t>(*row)]);
    }
    if (sequence.first_row < batch.num_prompt_rows) num_prompt_rows += kept.num_rows;
    sequences.push_back(kept);
  }
}

}  // namespace weir
