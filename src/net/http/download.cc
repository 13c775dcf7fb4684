#include "net/http/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "base/utf8.h"
#include "net/http/download_head.h"
#include "net/http/download_url.h"
#include "net/http/field_syntax.h"
#include "net/http/part_file.h"

namespace weir {
namespace {

constexpr int kMaxRedirects = 10;
constexpr Duration kLongestRetry = std::chrono::seconds(30);
constexpr Duration kLongestAskedFor = std::chrono::seconds(120);  // by Retry-After

bool IsInterrupted(const DownloadOptions& options) {
  return options.interrupted != nullptr && options.interrupted->load();
}

// One answer and what was done with its body.
struct Answer {
  DownloadHead head;
  std::string location;
  Status refused;  // why the body was not taken
  CURLcode code = CURLE_OK;
  std::string error;
};

class Transfer {
 public:
  Transfer(const DownloadOptions& options, PartFile* part) : options_(options), part_(part) {}

  Result<Download> Run() {
    WEIR_ASSIGN_OR_RETURN(origin_, DownloadUrl::Parse(options_.url));
    WEIR_RETURN_IF_ERROR(CheckToken());
    Download out;
    out.resumed_at = part_->ValidatorFor(options_.url).empty() ? 0 : part_->size();
    int failures = 0;
    int64_t before = part_->size();
    while (true) {
      bool may_retry = false;
      std::optional<int64_t> wait_s;
      const Status status = TryOnce(&may_retry, &wait_s);
      if (status.ok()) break;
      if (part_->size() != before) failures = 0;  // it gets on, however slowly
      before = part_->size();
      if (!may_retry || failures++ >= options_.max_retries) return status;
      Duration wait = std::min(kLongestRetry, options_.first_retry * (1 << std::min(failures - 1, 10)));
      if (wait_s) wait = std::min<Duration>(kLongestAskedFor, std::chrono::seconds(*wait_s));
      if (options_.on_note)
        options_.on_note(fmt::format("{}; trying again in {:.0f} s", status.message(), ToSeconds(wait)));
      WEIR_RETURN_IF_ERROR(Sleep(wait));
    }
    out.resumed_at = was_restarted_ ? 0 : out.resumed_at;
    out.bytes = part_->size();
    return out;
  }

 private:
  Status CheckToken() const {
    if (options_.token.empty()) return OkStatus();
    if (origin_.scheme == "http" && !origin_.is_loopback())
      return InvalidArgument(fmt::format(
          "a token would cross the network readable to everybody; use https for {}, or leave the token out",
          origin_.shown));
    for (const char c : options_.token)
      if (c <= 0x20 || c >= 0x7f)
        return InvalidArgument(
            "the token has a character that no HTTP field may hold; check where it comes from");
    return OkStatus();
  }

  Status Sleep(Duration wait) const {
    const TimePoint end = MonotonicClock::Get().Now() + wait;
    while (MonotonicClock::Get().Now() < end) {
      if (IsInterrupted(options_)) return Interrupted();
      std::this_thread::sleep_for(std::min<Duration>(wait, std::chrono::milliseconds(50)));
    }
    return OkStatus();
  }

  Status Interrupted() const {
    return Cancelled(fmt::format("interrupted; {} bytes are kept in {}, the same command goes on from there",
                                 part_->size(), part_->part_path()));
  }

  // One request, with its redirects.
  Status TryOnce(bool* may_retry, std::optional<int64_t>* wait_s) {
    std::string url = options_.url;
    bool with_token = !options_.token.empty();
    for (int redirects = 0;; ++redirects) {
      WEIR_ASSIGN_OR_RETURN(const DownloadUrl at, DownloadUrl::Parse(url));
      with_token = with_token && at.SameOrigin(origin_);
      const Answer answer = Request(url, with_token);
      if (IsInterrupted(options_)) return Interrupted();
      if (!answer.refused.ok()) return answer.refused;
      const bool is_redirect = answer.head.status == 301 || answer.head.status == 302 ||
                               answer.head.status == 303 || answer.head.status == 307 ||
                               answer.head.status == 308;
      if (answer.code == CURLE_OK && is_redirect) {
        if (answer.location.empty())
          return DataLoss(fmt::format("{} answered {} without a place to go to; give another URL", at.shown,
                                      answer.head.status));
        if (redirects == kMaxRedirects)
          return DataLoss(fmt::format("{} leads through more than {} redirects; give the file's own URL",
                                      origin_.shown, kMaxRedirects));
        WEIR_RETURN_IF_ERROR(CheckRedirect(at, answer.location));
        url = answer.location;
        continue;
      }
      return Judge(at, answer, may_retry, wait_s);
    }
  }

  Status CheckRedirect(const DownloadUrl& from, const std::string& location) const {
    WEIR_ASSIGN_OR_RETURN(const DownloadUrl to, DownloadUrl::Parse(location));
    if (to.scheme == "file")
      return InvalidArgument(
          fmt::format("{} redirects to a file of this machine, which no server may", from.shown));
    if (from.scheme == "https" && to.scheme == "http" && (!options_.token.empty() || options_.sha256.empty()))
      return InvalidArgument(fmt::format(
          "{} redirects to {}, which is not encrypted: anybody on the way could change the file{}",
          from.shown, to.shown,
          options_.token.empty() ? "; give --sha256 to accept it" : "; fetch that URL without a token"));
    return OkStatus();
  }

  Answer Request(const std::string& url, bool with_token) {
    answer_ = Answer();
    takes_body_ = false;
    validator_ = part_->ValidatorFor(options_.url);
    first_ = validator_.empty() ? 0 : part_->size();
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
    if (curl == nullptr) {
      answer_.refused = ResourceExhausted("no memory for a connection");
      return answer_;
    }
    CURL* const c = curl.get();
    char error[CURL_ERROR_SIZE] = "";
    std::vector<std::string> fields;
    if (with_token) fields.push_back("Authorization: Bearer " + options_.token);
    if (first_ > 0) fields.push_back("If-Range: " + validator_);
    curl_slist* list = nullptr;
    for (const std::string& field : fields) list = curl_slist_append(list, field.c_str());
    const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, &curl_slist_free_all);
    curl_easy_setopt(c, CURLOPT_URL, url.c_str());
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "weir");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    // As OpenSSL's own programs: for authorities that only this user or site trusts.
    if (const char* authorities = std::getenv("SSL_CERT_FILE");
        authorities != nullptr && *authorities != '\0')
      curl_easy_setopt(c, CURLOPT_CAINFO, authorities);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(ToMilliseconds(options_.connect_timeout)));
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, &Transfer::OnTick);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, this);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, &Transfer::OnHeader);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, &Transfer::OnBody);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, this);
    const std::string range = fmt::format("{}-", first_);
    if (first_ > 0) curl_easy_setopt(c, CURLOPT_RANGE, range.c_str());
    last_byte_ = MonotonicClock::Get().Now();
    answer_.code = curl_easy_perform(c);
    answer_.error = error[0] != '\0' ? error : curl_easy_strerror(answer_.code);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &answer_.head.status);
    char* location = nullptr;
    curl_easy_getinfo(c, CURLINFO_REDIRECT_URL, &location);
    if (location != nullptr) answer_.location = location;
    return answer_;
  }

  static int OnTick(void* self_of_it, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto* const self = static_cast<Transfer*>(self_of_it);
    if (IsInterrupted(self->options_)) return 1;
    if (MonotonicClock::Get().Now() - self->last_byte_ <= self->options_.stall_timeout) return 0;
    self->has_stalled_ = true;
    return 1;
  }

  static size_t OnHeader(char* data, size_t, size_t bytes, void* self_of_it) {
    auto* const self = static_cast<Transfer*>(self_of_it);
    self->last_byte_ = MonotonicClock::Get().Now();
    self->answer_.head.TakeLine(std::string_view(data, bytes));
    return bytes;
  }

  static size_t OnBody(char* data, size_t, size_t bytes, void* self_of_it) {
    auto* const self = static_cast<Transfer*>(self_of_it);
    self->last_byte_ = MonotonicClock::Get().Now();
    const long status = self->answer_.head.status;
    if (status != 200 && status != 206) {
      self->ignored_ += static_cast<int64_t>(bytes);
      return self->ignored_ > (1 << 20) ? 0 : bytes;  // of an error's page, only the status matters
    }
    Status taken = self->takes_body_ ? OkStatus() : self->BeginBody();
    if (taken.ok()) taken = self->part_->Append(data, bytes);
    if (!taken.ok()) {
      self->answer_.refused = std::move(taken);
      return 0;
    }
    if (self->options_.on_progress) self->options_.on_progress(self->part_->size(), self->total_);
    return bytes;
  }

  // Whether the bytes that come go on where those on the disk end.
  Status BeginBody() {
    takes_body_ = true;
    if (!answer_.head.encoding.empty() && !EqualsIgnoreCase(answer_.head.encoding, "identity"))
      return DataLoss(
          fmt::format("{} sends the file encoded as \"{}\", which was not asked for; give another URL",
                      origin_.shown, QuoteForMessage(answer_.head.encoding)));
    if (answer_.head.status == 206) {
      if (first_ == 0 || answer_.head.range_first != first_)
        return DataLoss(
            fmt::format("{} sends bytes from {} on, but from {} were asked for; delete {} and try again",
                        origin_.shown, answer_.head.range_first.value_or(-1), first_, part_->part_path()));
      total_ = answer_.head.range_total.value_or(answer_.head.length ? first_ + *answer_.head.length : 0);
    } else {
      was_restarted_ = was_restarted_ || part_->size() > 0;
      WEIR_RETURN_IF_ERROR(part_->Restart(options_.url, answer_.head.Validator()));
      total_ = answer_.head.length.value_or(0);
    }
    return total_ > 0 ? part_->CheckSpace(total_ - part_->size()) : OkStatus();
  }

  Status Judge(const DownloadUrl& at, const Answer& answer, bool* may_retry, std::optional<int64_t>* wait_s) {
    if (answer.code != CURLE_OK && !(answer.code == CURLE_WRITE_ERROR && answer.head.status >= 400))
      return Broken(at, answer, may_retry);
    if (answer.head.status == 200 || answer.head.status == 206) {
      if (!takes_body_) WEIR_RETURN_IF_ERROR(BeginBody());  // an empty file
      if (total_ == 0 || part_->size() == total_) return OkStatus();
      *may_retry = true;
      return Unavailable(fmt::format("{} sent {} bytes, expected {}", at.shown, part_->size(), total_));
    }
    if (answer.head.status == 416 && first_ > 0) {
      // All of it was there; or the file has become shorter, and begins anew.
      if (answer.head.range_total == first_) return OkStatus();
      WEIR_RETURN_IF_ERROR(part_->Restart(options_.url, ""));
      was_restarted_ = true;
      *may_retry = true;
      return Unavailable(fmt::format("{} has no bytes from {} on any more", at.shown, first_));
    }
    if (answer.head.status == 404 || answer.head.status == 410)
      return NotFound(fmt::format("{} answered {}: there is no such file; check the URL{}", at.shown,
                                  answer.head.status,
                                  options_.token.empty() ? ", or give a token if it is private" : ""));
    if (answer.head.status == 401 || answer.head.status == 403)
      return Unauthenticated(fmt::format(
          "{} answered {}: {}", at.shown, answer.head.status,
          options_.token.empty() ? "it wants a token; give one with --token-env or --token-file"
                                 : "it does not accept the token for this file; check its rights"));
    *wait_s = answer.head.retry_after_s;
    *may_retry = answer.head.status == 408 || answer.head.status == 429 || answer.head.status >= 500;
    return Unavailable(
        fmt::format("{} answered {}{}", at.shown, answer.head.status, *may_retry ? "" : "; check the URL"));
  }

  Status Broken(const DownloadUrl& at, const Answer& answer, bool* may_retry) {
    if (std::exchange(has_stalled_, false)) {
      *may_retry = true;
      return Unavailable(fmt::format("{} sent nothing for {:.0f} s; {} bytes are kept in {}", at.shown,
                                     ToSeconds(options_.stall_timeout), part_->size(), part_->part_path()));
    }
    *may_retry = answer.code != CURLE_PEER_FAILED_VERIFICATION && answer.code != CURLE_SSL_CACERT_BADFILE &&
                 answer.code != CURLE_TOO_MANY_REDIRECTS && answer.code != CURLE_UNSUPPORTED_PROTOCOL;
    return Unavailable(fmt::format("{}: {}; {} bytes are kept in {}, the same command goes on from there",
                                   at.shown, QuoteForMessage(answer.error, 200), part_->size(),
                                   part_->part_path()));
  }

  const DownloadOptions& options_;
  PartFile* const part_;
  DownloadUrl origin_;
  Answer answer_;
  std::string validator_;
  int64_t first_ = 0;  // byte that was asked for
  int64_t total_ = 0;  // of the file; 0: not known
  int64_t ignored_ = 0;
  bool takes_body_ = false;
  bool has_stalled_ = false;
  bool was_restarted_ = false;
  TimePoint last_byte_{};
};

Result<Download> CopyLocal(const DownloadOptions& options, const DownloadUrl& url, PartFile* part) {
  if (!url.host.empty() && url.host != "localhost")
    return InvalidArgument(fmt::format("URL {}: names a host; expected file:///PATH", url.shown));
  const int source = open(url.path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (source < 0 || fstat(source, &info) != 0 || !S_ISREG(info.st_mode)) {
    if (source >= 0) close(source);
    return NotFound(fmt::format("{}: cannot be read as a file; check the path", url.shown));
  }
  Status status = part->Restart(options.url, "");
  if (status.ok()) status = part->CheckSpace(info.st_size);
  std::vector<char> buffer(1 << 20);
  while (status.ok()) {
    const ssize_t bytes = read(source, buffer.data(), buffer.size());
    if (bytes < 0) status = DataLoss(fmt::format("{}: cannot be read: {}", url.shown, std::strerror(errno)));
    if (bytes <= 0) break;
    status = part->Append(buffer.data(), static_cast<size_t>(bytes));
    if (IsInterrupted(options)) status = Cancelled("interrupted");
    if (options.on_progress) options.on_progress(part->size(), info.st_size);
  }
  close(source);
  WEIR_RETURN_IF_ERROR(std::move(status));
  Download out;
  out.bytes = part->size();
  return out;
}

// What lies there already; empty when nothing does or it is to be replaced.
Result<std::optional<Download>> Existing(const DownloadOptions& options) {
  struct stat info {};
  if (options.replace || stat(options.path.c_str(), &info) != 0) return std::optional<Download>();
  if (!S_ISREG(info.st_mode))
    return InvalidArgument(
        fmt::format("{} is there and no file; choose another place with --output", options.path));
  Download out;
  out.was_there = true;
  out.bytes = info.st_size;
  WEIR_ASSIGN_OR_RETURN(out.sha256, Sha256File(options.path));
  if (options.sha256.empty() || out.sha256 == options.sha256) return std::optional<Download>(std::move(out));
  return DataLoss(
      fmt::format("{} is there with SHA-256 {}, expected {}; give --force to replace it, or another --output",
                  options.path, out.sha256, options.sha256));
}

}  // namespace

Result<Download> Fetch(const DownloadOptions& options) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) return Internal("libcurl does not start");
  WEIR_ASSIGN_OR_RETURN(const DownloadUrl url, DownloadUrl::Parse(options.url));
  std::error_code error;
  if (const auto folder = std::filesystem::path(options.path).parent_path(); !folder.empty())
    std::filesystem::create_directories(folder, error);
  if (error)
    return InvalidArgument(
        fmt::format("{}: its folder cannot be made: {}; choose another place with --output", options.path,
                    error.message()));
  WEIR_ASSIGN_OR_RETURN(std::optional<Download> existing, Existing(options));
  if (existing) return *std::move(existing);
  WEIR_ASSIGN_OR_RETURN(PartFile part, PartFile::Open(options.path, options.interrupted, [&] {
                          if (options.on_note)
                            options.on_note("another process fetches this file; waiting for it");
                        }));
  // It may have come while we waited.
  WEIR_ASSIGN_OR_RETURN(existing, Existing(options));
  if (existing) {
    part.Discard();
    return *std::move(existing);
  }
  Result<Download> fetched =
      url.scheme == "file" ? CopyLocal(options, url, &part) : Transfer(options, &part).Run();
  if (!fetched.has_value()) {
    if (part.size() == 0 || url.scheme == "file") part.Discard();
    return fetched;
  }
  WEIR_ASSIGN_OR_RETURN(fetched->sha256, Sha256File(part.part_path()));
  if (!options.sha256.empty() && fetched->sha256 != options.sha256) {
    part.Discard();
    return DataLoss(fmt::format(
        "{} has SHA-256 {}, expected {}; nothing was kept. Check the hash, or whether the file was changed",
        url.shown, fetched->sha256, options.sha256));
  }
  WEIR_RETURN_IF_ERROR(part.Commit());
  return fetched;
}

}  // namespace weir
