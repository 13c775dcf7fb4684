#include "perf/report/llama_bench_format.h"

#include <cmath>
#include <string>
#include <vector>

#include "perf/report/evidence.h"

namespace weir {
namespace {

int64_t Int(const Json& json, const std::string& pointer) {
  return static_cast<int64_t>(NumberAt(json, pointer).value_or(0));
}

struct Sample {
  double mean = 0, deviation = 0;
};
Sample Of(const std::vector<double>& values) {
  Sample out;
  if (values.empty()) return out;
  const double n = static_cast<double>(values.size());
  for (const double value : values) out.mean += value / n;
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  if (values.size() > 1) out.deviation = std::sqrt(squares / (n - 1));
  return out;
}

Json Row(const Json& document, const Json& cell, bool is_prompt) {
  const Json* list = FindJson(cell, {is_prompt ? "samples_pp_ns" : "samples_tg_ns"});
  std::vector<double> ns, speeds;
  const double tokens = NumberAt(cell, is_prompt ? "/pp" : "/tg").value_or(0);
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const double value = JsonNumber(&(*list)[i]).value_or(0);
    if (value <= 0) continue;
    ns.push_back(value);
    speeds.push_back(tokens / (value / 1e9));
  }
  const Sample time = Of(ns), speed = Of(speeds);
  const std::string path = StringAt(document, "/parameters/model").value_or("");
  Json row;
  row["build_commit"] = StringAt(document, "/tool/commit").value_or("");
  row["build_number"] = 0;
  row["cpu_info"] = StringAt(document, "/environment/cpu_model").value_or("");
  row["gpu_info"] = "";
  row["backends"] = "weir-" + StringAt(document, "/environment/isa").value_or("");
  row["model_filename"] = path;
  row["model_type"] = StringAt(document, "/model/name").value_or("") + " " +
                      StringAt(document, "/model/weight_format").value_or("");
  row["model_size"] = Int(document, "/model/weight_bytes");
  row["model_n_params"] = Int(document, "/model/parameters");
  row["n_batch"] = Int(document, "/parameters/max_num_batched_tokens");
  row["n_ubatch"] = Int(document, "/parameters/max_num_batched_tokens");
  row["n_threads"] = Int(document, "/parameters/threads");
  row["type_k"] = row["type_v"] = StringAt(document, "/parameters/kv_cache_dtype") == "int8" ? "q8_0" : "f16";
  // Its comparison groups rows by every setting, so a row lacks none. What weir does not have is at llama-bench's word for
  // "not in use".
  row["n_gpu_layers"] = 0;
  row["n_cpu_moe"] = 0;
  row["main_gpu"] = 0;
  row["split_mode"] = "none";
  row["no_kv_offload"] = false;
  row["flash_attn"] = false;
  row["devices"] = "none";
  row["tensor_split"] = "0.00";
  row["tensor_buft_overrides"] = "none";
  row["cpu_mask"] = "0x0";
  row["cpu_strict"] = false;
  row["poll"] = 0;
  row["load_mode"] = "none";
  row["no_op_offload"] = 0;
  row["no_host"] = false;
  row["fit_target"] = 0;
  row["fit_min_ctx"] = 0;
  row["embeddings"] = false;
  row["n_prompt"] = is_prompt ? Int(cell, "/pp") : 0;
  row["n_gen"] = is_prompt ? 0 : Int(cell, "/tg");
  // Generation follows its prompt here, so it has that depth.
  row["n_depth"] = is_prompt ? 0 : Int(cell, "/pp");
  row["test_time"] = StringAt(document, "/created_at").value_or("");
  row["avg_ns"] = static_cast<int64_t>(time.mean);
  row["stddev_ns"] = static_cast<int64_t>(time.deviation);
  row["avg_ts"] = speed.mean;
  row["stddev_ts"] = speed.deviation;
  row["samples_ns"] = list != nullptr ? *list : Json::array();
  row["samples_ts"] = speeds;
  return row;
}

}  // namespace

Json LlamaBenchRows(const Json& document) {
  Json rows = Json::array();
  for (const Json& cell : document["matrix"]) {
    if (NumberAt(cell, "/pl") != 1.0) continue;
    rows.push_back(Row(document, cell, true));
    rows.push_back(Row(document, cell, false));
  }
  return rows;
}

Json LlamaBatchedRows(const Json& document) {
  Json rows = Json::array();
  for (const Json& cell : document["matrix"]) {
    const auto number = [&](const char* pointer) { return NumberAt(cell, pointer).value_or(0); };
    const double t_pp = number("/t_pp_s"), t_tg = number("/t_tg_s");
    rows.push_back({{"n_kv_max", Int(document, "/parameters/max_model_len")},
                    {"n_batch", Int(document, "/parameters/max_num_batched_tokens")},
                    {"n_ubatch", Int(document, "/parameters/max_num_batched_tokens")},
                    {"flash_attn", 0},
                    {"is_pp_shared", 0},
                    {"n_gpu_layers", 0},
                    {"n_threads", Int(document, "/parameters/threads")},
                    {"n_threads_batch", Int(document, "/parameters/threads")},
                    {"pp", Int(cell, "/pp")},
                    {"tg", Int(cell, "/tg")},
                    {"pl", Int(cell, "/pl")},
                    {"n_kv", Int(cell, "/pl") * (Int(cell, "/pp") + Int(cell, "/tg"))},
                    {"t_pp", t_pp},
                    {"speed_pp", number("/speed_pp_tps")},
                    {"t_tg", t_tg},
                    {"speed_tg", number("/speed_tg_tps")},
                    {"t", t_pp + t_tg},
                    {"speed", number("/speed_tps")}});
  }
  return rows;
}

}  // namespace weir
