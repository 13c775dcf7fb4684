#include "cli/pull.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/sha256.h"
#include "cli/command.h"
#include "cli/default_model.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "net/http/download.h"
#include "perf/report/number_format.h"

namespace weir {
namespace {

struct PullFlags {
  std::string url, sha256, output, token_env, token_file;
  bool force = false;
  double stall_s = 60, retry_s = 1;
  int retries = 5;
};

Result<std::string> TokenOf(const PullFlags& flags) {
  std::string token;
  if (!flags.token_env.empty() && !flags.token_file.empty())
    return InvalidArgument("--token-env and --token-file are both given; leave one of them out");
  if (!flags.token_env.empty()) {
    const char* value = std::getenv(flags.token_env.c_str());
    if (value == nullptr || *value == '\0')
      return InvalidArgument(fmt::format("--token-env is {}, but that variable is not set", flags.token_env))
          .WithParam("--token-env");
    token = value;
  }
  if (!flags.token_file.empty()) {
    WEIR_ASSIGN_OR_RETURN(token, ReadSecretFile(flags.token_file, 1 << 16));
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
    if (token.empty())
      return InvalidArgument(fmt::format("{} is empty, expected a token", flags.token_file))
          .WithParam("--token-file");
  }
  return token;
}

Result<std::string> PlaceOf(const PullFlags& flags) {
  const bool is_folder = flags.output.ends_with('/') || std::filesystem::is_directory(flags.output);
  if (!flags.output.empty() && !is_folder) return flags.output;
  WEIR_ASSIGN_OR_RETURN(const std::string name, FileNameOfUrl(flags.url));
  const std::string folder = flags.output.empty() ? CacheFolder() + "/models" : flags.output;
  return folder + (folder.ends_with('/') ? "" : "/") + name;
}

Status Pull(const PullFlags& flags) {
  DownloadOptions options;
  options.url = flags.url;
  options.replace = flags.force;
  options.max_retries = flags.retries;
  options.stall_timeout = FromSeconds(flags.stall_s);
  options.first_retry = FromSeconds(flags.retry_s);
  options.interrupted = &InterruptFlag();
  if (!flags.sha256.empty()) {
    if (!DigestFromHex(flags.sha256).has_value())
      return InvalidArgument(
                 fmt::format("--sha256 has {} characters, expected 64 hex digits", flags.sha256.size()))
          .WithParam("--sha256");
    options.sha256 = flags.sha256;
    std::transform(options.sha256.begin(), options.sha256.end(), options.sha256.begin(),
                   [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  }
  WEIR_ASSIGN_OR_RETURN(options.token, TokenOf(flags));
  WEIR_ASSIGN_OR_RETURN(options.path, PlaceOf(flags));
  ProgressBar bar("pull");
  options.on_progress = [&](int64_t done, int64_t total) {
    const auto bytes = [](int64_t count) { return FormatBytes(static_cast<double>(count)); };
    bar.Update(total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0,
               total > 0 ? fmt::format("{} of {}", bytes(done), bytes(total)) : bytes(done));
  };
  options.on_note = [&](const std::string& note) {
    bar.Finish();
    fmt::print(stderr, "weir pull: {}\n", note);
  };
  const Result<Download> fetched = Fetch(options);
  bar.Finish();
  WEIR_RETURN_IF_ERROR(fetched.status());
  fmt::print(stderr, "weir pull: {}, {} bytes{}, SHA-256 {}{}\n",
             fetched->was_there ? "is there already" : "fetched", fetched->bytes,
             fetched->resumed_at > 0 ? fmt::format(" ({} of them earlier)", fetched->resumed_at) : "",
             fetched->sha256,
             flags.sha256.empty() && !fetched->was_there ? ", which nobody has checked: --sha256 would" : "");
  fmt::print("{}\n", options.path);
  return OkStatus();
}

}  // namespace

int RunPull(const std::vector<std::string>& arguments) {
  PullFlags flags;
  CLI::App app("Fetch a model file by URL, go on where an earlier try ended, and print where it lies.",
               "weir pull");
  app.add_option("URL", flags.url, "https://, http:// or file:///")->required();
  app.add_option("--sha256", flags.sha256, "the file's SHA-256; another file is refused");
  app.add_option("--output,-o", flags.output, "file or folder; without it the cache's models folder");
  app.add_option(
      "--token-env", flags.token_env,
      "environment variable that holds a bearer token (HF_TOKEN); it goes to the URL's own host alone");
  app.add_option("--token-file", flags.token_file, "file that holds it");
  app.add_flag("--force", flags.force, "fetch it also when something lies there");
  app.add_option("--stall-timeout", flags.stall_s, "seconds without a byte after which it tries again")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  app.add_option("--retries", flags.retries, "tries in a row that may fail")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  app.add_option("--retry-wait", flags.retry_s, "seconds before the first of them; doubles up to 30")
      ->check(CLI::Range(0.0, 30.0))
      ->capture_default_str();
  const Result<bool> go_on = ParseFlags(app, arguments);
  if (!go_on.has_value()) return Fail("pull", go_on.error());
  if (!*go_on) return 0;
  const Status status = Pull(flags);
  return status.ok() ? 0 : Fail("pull", status);
}

}  // namespace weir
