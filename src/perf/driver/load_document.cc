// What a load test's result file says beside its rows.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "perf/driver/load_run.h"
#include "perf/recorder/environment.h"

namespace weir {

// What is known before the first request.
void LoadRun::DescribeSetting() {
  document_["environment"] = ToJson(CaptureEnvironment("", 0));
  document_["model"] = {{"name", model_}};
  if (const Json* sha = FindJson(server_.version(), {"model", "sha256"})) document_["model"]["sha256"] = *sha;
  document_["server_version"] = server_.version();
  document_["parameters"] = LoadParameters(spec_, model_);
}

void LoadRun::Describe(Json requests_file) {
  document_["dataset"] = {
      {"name", dataset_.name},
      {"prompts", dataset_.prompts.size()},
      {"expected_cache_ratio", dataset_.expected_cache_ratio},
      {"template_cached_tokens", cache_.template_tokens ? Json(*cache_.template_tokens) : Json(nullptr)}};
  document_["results"] = rows_;
  if (!search_.is_null()) document_["search"] = search_;
  document_["requests_file"] = std::move(requests_file);
  document_["validity"] = validity_.ToJson();
  document_["void"] = validity_.VoidPointers(rows_.size());
  document_["approximate"] = Json::array();
  document_["notes"] = dataset_.notes;
  if (next_seq_ > static_cast<int64_t>(dataset_.prompts.size())) {
    document_["notes"].push_back(
        fmt::format("prompts repeat after {}: a prefix cache knows the later ones", dataset_.prompts.size()));
  }
  if (std::any_of(rows_.begin(), rows_.end(), [](const Json& row) { return row["mode"] == "closed"; })) {
    document_["notes"].push_back(
        "closed loop: a slow server slows its own load, so latency under a fixed arrival rate may be worse");
  }
  if (stopped()) document_["interrupted"] = true;
}

}  // namespace weir
