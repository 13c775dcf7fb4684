#include <utility>

#include "perf/driver/load_run.h"
#include "perf/driver/load_spec.h"

namespace weir {

Result<Json> RunLoadTest(const LoadSpec& spec, const ProgressFunction& progress) {
  WEIR_RETURN_IF_ERROR(CheckLoadSpec(spec));
  WEIR_ASSIGN_OR_RETURN(Url url, Url::Parse(spec.url));
  const ProgressFunction quiet = [](double, std::string_view) {};
  return LoadRun(spec, std::move(url), progress ? progress : quiet).Run();
}

}  // namespace weir
