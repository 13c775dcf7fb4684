#include "cli/api_keys_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/utf8.h"
#include "cli/command.h"

namespace weir {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;
// 64 bits of hex. Fewer could be guessed over the network within a lease of life.
constexpr size_t kLeastKeyBytes = 16;
constexpr int64_t kMostPerMinute = 1'000'000'000'000;

// One entry, and where it stands for messages.
class Entry {
 public:
  Entry(const TomlFile& file, std::string place, const Json& table)
      : file_(file), place_(std::move(place)), table_(table) {}

  Status CheckNames(const std::vector<std::string>& known) const {
    for (const auto& [name, value] : table_.items()) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      const std::string nearest = NearestName(name, known);
      return Wrong(name, fmt::format("unknown field '{}'; {}", QuoteForMessage(name),
                                     nearest.empty() ? fmt::format("a key has {}", fmt::join(known, ", "))
                                                     : fmt::format("did you mean '{}'?", nearest)));
    }
    return OkStatus();
  }
  Status Wrong(const std::string& name, const std::string& what) const {
    const std::string place = place_ + "." + name;
    return InvalidArgument(fmt::format("{}: {}", file_.Where(Has(name) ? place : place_), what));
  }
  bool Has(const std::string& name) const { return table_.contains(name); }
  const Json& At(const std::string& name) const { return table_.at(name); }

  Result<std::string> Text(const std::string& name) const {
    if (!Has(name)) return std::string();
    if (!At(name).is_string() || At(name).get_ref<const std::string&>().empty())
      return Wrong(name, fmt::format("'{}' must be a text that is not empty", name));
    return At(name).get<std::string>();
  }
  Result<int64_t> Count(const std::string& name, int64_t most) const {
    if (!Has(name)) return int64_t{0};
    const bool in_range =
        At(name).is_number_integer() && At(name).get<int64_t>() >= 1 && At(name).get<int64_t>() <= most;
    if (!in_range)
      return Wrong(name, fmt::format("'{}' must be a whole number from 1 to {}; leave it out for no limit",
                                     name, most));
    return At(name).get<int64_t>();
  }

 private:
  const TomlFile& file_;
  std::string place_;
  const Json& table_;
};

bool IsKeyName(const std::string& name) {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
             std::string::npos;
}

// RFC 3339 with an offset, or a date alone.
std::optional<std::chrono::system_clock::time_point> ParseTime(const std::string& text) {
  std::tm parts{};
  int used = 0;
  char sign = 'Z';
  int offset_hours = 0, offset_minutes = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &used) != 3)
    return std::nullopt;
  std::string rest = text.substr(static_cast<size_t>(used));
  if (!rest.empty()) {
    if (std::sscanf(rest.c_str(), "%*[T ]%2d:%2d:%2d%n", &parts.tm_hour, &parts.tm_min, &parts.tm_sec,
                    &used) != 3)
      return std::nullopt;
    rest = rest.substr(static_cast<size_t>(used));
    if (rest.starts_with('.')) rest = rest.substr(std::min(rest.size(), rest.find_first_of("Zz+-")));
    if (rest.empty()) return std::nullopt;  // a local time: whose?
    if (rest != "Z" && rest != "z" &&
        (std::sscanf(rest.c_str(), "%c%2d:%2d", &sign, &offset_hours, &offset_minutes) != 3 ||
         (sign != '+' && sign != '-')))
      return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const int64_t offset = (sign == '-' ? -1 : 1) * (offset_hours * 3600 + offset_minutes * 60);
  return std::chrono::system_clock::from_time_t(timegm(&parts) - offset);
}

Status ReadSecret(const Entry& entry, ApiKey* key) {
  WEIR_ASSIGN_OR_RETURN(const std::string digest, entry.Text("sha256"));
  WEIR_ASSIGN_OR_RETURN(const std::string secret, entry.Text("key"));
  if (digest.empty() == secret.empty())
    return entry.Wrong("key", fmt::format("'{}' needs either 'sha256' or 'key'", key->owner.name));
  if (!digest.empty()) {
    const std::optional<Sha256Digest> bytes = DigestFromHex(digest);
    if (!bytes)
      return entry.Wrong("sha256",
                         "'sha256' must be 64 hex digits, as `printf %s KEY | sha256sum` prints them");
    key->digest = *bytes;
    return OkStatus();
  }
  if (secret.size() < kLeastKeyBytes)
    return entry.Wrong("key",
                       fmt::format("'key' has {} characters, expected at least {}; `openssl rand -hex 32` "
                                   "makes one",
                                   secret.size(), kLeastKeyBytes));
  key->digest = Sha256Bytes(secret);
  return OkStatus();
}

Status ReadClass(const Entry& entry, ApiKey* key) {
  static const std::vector<std::pair<std::string, RequestClass>> kClasses = {
      {"interactive", RequestClass::kInteractive},
      {"default", RequestClass::kDefault},
      {"batch", RequestClass::kBatch},
      {"sheddable", RequestClass::kSheddable}};
  WEIR_ASSIGN_OR_RETURN(const std::string name, entry.Text("highest_class"));
  if (name.empty()) return OkStatus();
  for (const auto& [known, value] : kClasses) {
    if (known != name) continue;
    key->owner.highest_class = value;
    return OkStatus();
  }
  return entry.Wrong("highest_class", fmt::format("'highest_class' is '{}', expected one of: interactive, "
                                                  "default, batch, sheddable",
                                                  QuoteForMessage(name)));
}

Status ReadLimits(const TomlFile& file, const std::string& place, const Entry& entry, ApiKey* key) {
  if (!entry.Has("limits")) return OkStatus();
  if (!entry.At("limits").is_object()) return entry.Wrong("limits", "'limits' must be a table");
  const Entry limits(file, place + ".limits", entry.At("limits"));
  WEIR_RETURN_IF_ERROR(limits.CheckNames({"requests_per_minute", "tokens_per_minute", "concurrent"}));
  WEIR_ASSIGN_OR_RETURN(key->limits.requests_per_minute, limits.Count("requests_per_minute", kMostPerMinute));
  WEIR_ASSIGN_OR_RETURN(key->limits.tokens_per_minute, limits.Count("tokens_per_minute", kMostPerMinute));
  WEIR_ASSIGN_OR_RETURN(const int64_t concurrent, limits.Count("concurrent", 1'000'000));
  key->limits.max_concurrent = static_cast<int>(concurrent);
  return OkStatus();
}

Result<ApiKey> ReadEntry(const TomlFile& file, const std::string& place, const Json& table) {
  const Entry entry(file, place, table);
  WEIR_RETURN_IF_ERROR(
      entry.CheckNames({"name", "sha256", "key", "weight", "highest_class", "expires", "trusted", "limits"}));
  ApiKey key;
  WEIR_ASSIGN_OR_RETURN(key.owner.name, entry.Text("name"));
  if (!IsKeyName(key.owner.name))
    return entry.Wrong("name", "every key needs a 'name' of 1 to 64 letters, digits and . _ -");
  WEIR_RETURN_IF_ERROR(ReadSecret(entry, &key));
  WEIR_RETURN_IF_ERROR(ReadClass(entry, &key));
  WEIR_RETURN_IF_ERROR(ReadLimits(file, place, entry, &key));
  if (entry.Has("weight")) {
    const double weight = entry.At("weight").is_number() ? entry.At("weight").get<double>() : -1;
    if (!(weight >= 0.01 && weight <= 100))
      return entry.Wrong("weight", "'weight' must be a number from 0.01 to 100");
    key.owner.weight = weight;
  }
  if (entry.Has("trusted")) {
    if (!entry.At("trusted").is_boolean()) return entry.Wrong("trusted", "'trusted' must be true or false");
    key.owner.trusted = entry.At("trusted").get<bool>();
  }
  WEIR_ASSIGN_OR_RETURN(const std::string expires, entry.Text("expires"));
  if (!expires.empty()) {
    key.expires = ParseTime(expires);
    if (!key.expires)
      return entry.Wrong("expires",
                         fmt::format("'expires' is '{}', expected a date or a time with an offset, like "
                                     "2027-01-01T00:00:00Z",
                                     QuoteForMessage(expires)));
  }
  return key;
}

}  // namespace

Result<std::vector<ApiKey>> ParseApiKeys(const TomlFile& file) {
  std::vector<ApiKey> keys;
  for (const auto& [name, value] : file.root.items()) {
    if (name != "keys")
      return InvalidArgument(fmt::format("{}: unknown table '{}'; a file of keys has only [[keys]]",
                                         file.Where(name), QuoteForMessage(name)));
    if (!value.is_array())
      return InvalidArgument(
          fmt::format("{}: 'keys' must be a list; write [[keys]] before each", file.Where(name)));
    for (const Json& table : value) {
      const std::string place = fmt::format("keys[{}]", keys.size());
      if (!table.is_object())
        return InvalidArgument(
            fmt::format("{}: a key must be a table; write [[keys]] before it", file.Where(place)));
      WEIR_ASSIGN_OR_RETURN(ApiKey key, ReadEntry(file, place, table));
      keys.push_back(std::move(key));
    }
  }
  return keys;
}

Result<std::shared_ptr<const KeyRing>> ReadKeyRing(const std::string& path,
                                                   const std::string& environment_key) {
  std::vector<ApiKey> keys;
  if (!path.empty()) {
    WEIR_ASSIGN_OR_RETURN(const std::string text, ReadSecretFile(path, kMaxFileBytes));
    WEIR_ASSIGN_OR_RETURN(const TomlFile file, ParseToml(text, path, true));
    WEIR_ASSIGN_OR_RETURN(keys, ParseApiKeys(file));
  }
  if (!environment_key.empty()) {
    if (environment_key.size() < kLeastKeyBytes)
      return InvalidArgument(
          fmt::format("WEIR_API_KEY has {} characters, expected at least {}; `openssl rand -hex 32` "
                      "makes one",
                      environment_key.size(), kLeastKeyBytes));
    ApiKey key;
    key.owner.name = "environment";
    key.digest = Sha256Bytes(environment_key);
    keys.push_back(std::move(key));
  }
  if (path.empty() && keys.empty()) return std::shared_ptr<const KeyRing>();
  if (const Status status = CheckKeys(keys); !status.ok())
    return InvalidArgument(fmt::format("{}: {}", path.empty() ? "WEIR_API_KEY" : path, status.message()));
  return std::shared_ptr<const KeyRing>(std::make_shared<KeyRing>(std::move(keys)));
}

}  // namespace weir
