#include "cli/bench_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/result_output.h"
#include "perf/report/number_format.h"

namespace weir {
namespace {

bool IsVoid(const Json& document, const std::string& pointer) {
  const Json& list = document["void"];
  return std::find(list.begin(), list.end(), pointer) != list.end();
}

std::string Percent(const Json* ratio, int digits = 0) {
  const auto value = JsonNumber(ratio);
  return value ? fmt::format("{:.{}f} %", *value * 100, digits) : std::string("-");
}

// In billions, as "61.4".
std::string Giga(const Json* value, int digits = 1) {
  const auto number = JsonNumber(value);
  return number ? fmt::format("{:.{}f}", *number / 1e9, digits) : std::string("-");
}

std::string TextOr(const Json& document, std::initializer_list<std::string_view> path,
                   std::string_view other) {
  return JsonString(FindJson(document, path)).value_or(std::string(other));
}

// Columns as wide as their widest cell; the first is left-aligned where it holds words.
void PrintTable(const std::vector<std::vector<std::string>>& rows, bool words_first) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += i == 0 && words_first ? fmt::format("{:<{}}", row[i], widths[i])
                                    : fmt::format("{}{:>{}}", i == 0 ? "" : "  ", row[i], widths[i]);
    }
    fmt::print("{}\n", line);
  }
}

void PrintMachine(const Json& document) {
  const Json& environment = document["environment"];
  fmt::print("{}, {}, {} threads, not pinned; huge pages {} of memory, load {}, stolen {}\n",
             TextOr(environment, {"cpu_model"}, "unknown CPU"), TextOr(environment, {"isa"}, "?"),
             environment["threads"].dump(), Percent(FindJson(environment, {"huge_page_ratio"})),
             NumberText(FindJson(environment, {"load_average"})),
             Percent(FindJson(environment, {"stolen_ratio"}), 1));
  const Json& model = document["model"];
  std::string types;
  const double bytes = JsonNumber(FindJson(model, {"weight_bytes"})).value_or(0);
  if (const Json* by_type = FindJson(model, {"weight_bytes_by_type"}); by_type != nullptr && bytes > 0) {
    for (const auto& [name, part] : by_type->items()) {
      const double share = JsonNumber(&part).value_or(0) / bytes;
      // Norms are there, but nobody chooses a model by them.
      if (share >= 0.005) types += fmt::format("{}{} {:.0f} %", types.empty() ? "" : ", ", name, share * 100);
    }
  }
  fmt::print("{}: {} of weights ({}), {} KV per token\n", TextOr(model, {"name"}, "model"),
             FormatBytes(bytes), types,
             FormatBytes(JsonNumber(FindJson(model, {"kv_bytes_per_token"})).value_or(0)));
  const Json& limits = environment["limits"];
  const auto both = [&](const char* key) {
    return Giga(FindJson(limits, {"probed_before", key})) + " / " +
           Giga(FindJson(limits, {"probed_after", key}));
  };
  fmt::print("Limits before / after: {} GB/s, {} GMAC/s int8", both("read_bandwidth_bytes_per_s"),
             both("int8_mac_per_s"));
  if (JsonNumber(FindJson(limits, {"tile_mac_per_s"})))
    fmt::print(", {} bf16 on tiles", both("tile_mac_per_s"));
  if (const Json* rates = FindJson(limits, {"read_rates"}); rates != nullptr && rates->size() > 1) {
    std::string sizes;
    for (const Json& rate : *rates)
      sizes += fmt::format("{}{}: {}", sizes.empty() ? "" : ", ",
                           FormatBytes(JsonNumber(FindJson(rate, {"bytes"})).value_or(0)),
                           Giga(FindJson(rate, {"bytes_per_s"})));
    fmt::print("\nGB/s by what is read again and again: {}", sizes);
  }
  fmt::print("\n\n");
}

// Which limit ended `--batch-sizes max`, and what one step more would take.
void PrintBatchLimit(const Json& document) {
  const Json* limit = FindJson(document, {"batch_limit"});
  if (limit == nullptr) return;
  const auto number = [&](std::initializer_list<std::string_view> path) {
    return JsonNumber(FindJson(*limit, path)).value_or(0);
  };
  fmt::print(
      "Largest batch {:.0f}, stopped by {}: {:.0f} sequences of {:.0f} tokens fit ({} each, {} offered), the "
      "engine "
      "takes {:.0f}.\n"
      "Batch {:.0f} needs {}{}.\n",
      number({"largest"}), TextOr(*limit, {"stopped_by"}, "?"), number({"sequences_that_fit"}),
      number({"tokens_per_sequence"}), FormatBytes(number({"bytes_per_sequence"})),
      FormatBytes(number({"budget_bytes"})), number({"max_num_seqs"}), number({"next", "batch_size"}),
      FormatBytes(number({"next", "bytes"})),
      TextOr(*limit, {"stopped_by"}, "?") == "memory"
          ? "; --max-model-len, --kv-cache-dtype int8 or --memory-utilization make room"
          : ", which is there, and more sequences than the engine takes");
}

void PrintStudy(const Json& document) {
  std::vector<std::vector<std::string>> rows = {
      {"batch", "steady tok/s", "whole tok/s", "latency p50", "latency p95", "TTFT p50", "limit", "share"}};
  const Json& results = document["results"];
  for (size_t i = 0; i < results.size(); ++i) {
    const Json& row = results[i];
    const Json* share = FindJson(row, {"limit", "share_ratio"});
    const bool is_void = IsVoid(document, fmt::format("/results/{}/limit", i));
    rows.push_back({row["batch_size"].dump(), NumberText(&row["output_tps_steady"]),
                    NumberText(&row["output_tps"]), MsText(row, "e2el_ms", "p50"),
                    MsText(row, "e2el_ms", "p95"), MsText(row, "ttft_ms", "p50"),
                    JsonNumber(share) ? NumberText(FindJson(row, {"limit", "output_tps"})) : "-",
                    is_void ? "void" : Percent(share)});
  }
  PrintTable(rows, false);
  fmt::print("Times in ms, nearest-rank. Steady: THR-OUT-2 (static batches THR-OUT-3); whole: THR-OUT-1.\n");
  PrintBatchLimit(document);
}

void PrintMatrix(const Json& document) {
  std::vector<std::vector<std::string>> rows = {{"prompt", "gen", "batch", "prefill tok/s", "GMAC/s", "peak",
                                                 "LIM-3", "decode tok/s", "min-max", "GB/s", "GMAC/s", "peak",
                                                 "LIM-1", "bound"}};
  const Json& matrix = document["matrix"];
  size_t rounds = 0;
  const double tiles =
      JsonNumber(FindJson(document, {"environment", "limits", "tile_mac_per_s"})).value_or(0);
  for (size_t i = 0; i < matrix.size(); ++i) {
    const Json& row = matrix[i];
    const auto share = [&](const char* key) {
      return IsVoid(document, fmt::format("/matrix/{}/{}", i, key)) ? "void" : Percent(FindJson(row, {key}));
    };
    rounds = std::max(rounds, row["samples_ns"].size());
    rows.push_back({row["pp"].dump(), row["tg"].dump(), row["pl"].dump(), NumberText(&row["speed_pp_tps"]),
                    Giga(FindJson(row, {"mac_pp_per_s"})),
                    share(JsonNumber(FindJson(row, {"share_tile_pp_ratio"})) ? "share_tile_pp_ratio"
                                                                             : "share_int8_pp_ratio"),
                    share("share_pp_ratio"), NumberText(&row["speed_tg_tps"]),
                    fmt::format("{}-{}", NumberText(&row["speed_tg_tps_range"][0]),
                                NumberText(&row["speed_tg_tps_range"][1])),
                    Giga(FindJson(row, {"read_tg_bytes_per_s"})), Giga(FindJson(row, {"mac_tg_per_s"})),
                    share("share_int8_tg_ratio"), share("share_tg_ratio"), TextOr(row, {"bound_tg"}, "-")});
  }
  PrintTable(rows, false);
  fmt::print(
      "Medians of {} rounds; decode at a mean context of prompt + gen/2 tokens. peak: share of the measured "
      "peak\n"
      "of int8 products{}, attention's multiplications included. LIM-1, LIM-3: share of\n"
      "the physical limit, which leaves them out.\n",
      rounds, tiles > 0 ? ", of bf16 tiles for prompts" : "");
}

// A column of milliseconds and one of shares for every kind of step that happened.
void PrintBreakdown(const Json& step, const std::string& title) {
  const Json* kinds = FindJson(step, {"kinds"});
  if (kinds == nullptr) return;
  std::vector<std::string> head = {title}, steps = {"steps"}, tokens = {"prompt tokens + decode rows"},
                           context = {"mean context"}, mean = {"whole step, ms"};
  std::vector<const Json*> shown;
  for (const char* name : {"prefill", "decode", "mixed"}) {
    const Json* kind = FindJson(*kinds, {name});
    if (kind == nullptr || kind->is_null()) continue;
    shown.push_back(kind);
    head.insert(head.end(), {name, ""});
    steps.insert(steps.end(), {(*kind)["count"].dump(), ""});
    tokens.insert(tokens.end(), {fmt::format("{} + {}", NumberText(&(*kind)["prefill_tokens_mean"]),
                                             NumberText(&(*kind)["decode_rows_mean"])),
                                 ""});
    context.insert(context.end(), {NumberText(&(*kind)["context_tokens_mean"], 0), ""});
    mean.insert(mean.end(), {NumberText(&(*kind)["mean_ms"], 3), "100.0 %"});
  }
  if (shown.empty()) return;
  std::vector<std::vector<std::string>> rows = {head, steps, tokens, context, mean};
  for (const auto& [name, unused] : step["segments_ms"].items()) {
    std::vector<std::string> row = {"  " + name};
    for (const Json* kind : shown) {
      const double ms = JsonNumber(FindJson(*kind, {"segments_ms", name})).value_or(0);
      const double whole = JsonNumber(FindJson(*kind, {"mean_ms"})).value_or(0);
      row.insert(row.end(), {fmt::format("{:.3f}", ms),
                             whole > 0 ? fmt::format("{:.1f} %", ms / whole * 100) : std::string("-")});
    }
    rows.push_back(std::move(row));
  }
  fmt::print("\n");
  PrintTable(rows, true);
  if (const auto cost = JsonNumber(FindJson(step, {"profiling_cost_ratio"}))) {
    fmt::print("Recording made a decode step {:+.1f} % longer.\n", *cost * 100);
  }
}

}  // namespace

void PrintBenchTables(const Json& document) {
  const bool is_matrix = document.contains("matrix");
  PrintMachine(document);
  is_matrix ? PrintMatrix(document) : PrintStudy(document);
  for (const Json& row : document[is_matrix ? "matrix" : "results"]) {
    const Json* step = FindJson(row, {"step"});
    if (step == nullptr) continue;
    PrintBreakdown(*step, is_matrix ? fmt::format("prompt {}, gen {}, batch {}", row["pp"].get<int>(),
                                                  row["tg"].get<int>(), row["pl"].get<int>())
                                    : fmt::format("batch {}", row["batch_size"].get<int>()));
  }
}

}  // namespace weir
