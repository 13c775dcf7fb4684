#include "engine/safetensors/quantized_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/sha256.h"
#include "engine/gguf/mapped_file.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

constexpr char kMagic[8] = {'W', 'E', 'I', 'R', 'Q', '0', '0', '1'};
constexpr uint64_t kHeaderBytes = 4096;
constexpr uint64_t kAlignment = 64;
// Bytes of rows that one unit of work converts, or sums.
constexpr uint64_t kUnitBytes = uint64_t{4} << 20;
constexpr std::string_view kEnding = ".rows";
constexpr std::string_view kUnfinished = ".part";

struct Header {
  char magic[8];
  char key[64];
  uint64_t data_bytes;
  uint64_t checksum;
};

// Where each tensor begins behind the header.
struct Layout {
  std::unordered_map<std::string, uint64_t> starts;
  uint64_t data_bytes = 0;
};

Layout LayOut(std::span<const TensorInfo> tensors) {
  Layout layout;
  for (const TensorInfo& tensor : tensors) {
    layout.starts[tensor.name] = layout.data_bytes;
    layout.data_bytes += (tensor.num_bytes() + kAlignment - 1) / kAlignment * kAlignment;
  }
  return layout;
}

// Calls body(unit) for every unit, on as many threads as there are cores and the system gives.
template <typename Body>
void ForEachUnit(size_t num_units, const Body& body) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next.fetch_add(1); i < num_units; i = next.fetch_add(1)) body(i);
  };
  std::vector<std::thread> threads;
  const size_t wanted = std::min<size_t>({std::thread::hardware_concurrency(), num_units, 64});
  try {
    while (threads.size() + 1 < wanted) threads.emplace_back(work);
  } catch (const std::system_error&) {  // fewer, then
  }
  work();
  for (std::thread& thread : threads) thread.join();
}

// Against accidents, not adversaries: whoever can write the file can write the model.
uint64_t SumOf(std::span<const std::byte> bytes) {
  constexpr uint64_t kPrime = 0x9e3779b97f4a7c15u;
  uint64_t lanes[4] = {1, 2, 3, 4};
  size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32)
    for (size_t lane = 0; lane < 4; ++lane) {
      uint64_t word;
      std::memcpy(&word, bytes.data() + at + 8 * lane, 8);
      lanes[lane] = std::rotl((lanes[lane] ^ word) * kPrime, 29);
    }
  for (; at < bytes.size(); ++at)
    lanes[0] = std::rotl((lanes[0] ^ static_cast<uint64_t>(bytes[at])) * kPrime, 29);
  uint64_t sum = bytes.size();
  for (const uint64_t lane : lanes) sum = std::rotl((sum ^ lane) * kPrime, 31);
  return sum;
}

uint64_t Checksum(std::span<const std::byte> data) {
  std::vector<uint64_t> sums((data.size() + kUnitBytes - 1) / kUnitBytes);
  ForEachUnit(sums.size(), [&](size_t i) {
    const uint64_t first = i * kUnitBytes;
    sums[i] = SumOf(data.subspan(first, std::min<uint64_t>(kUnitBytes, data.size() - first)));
  });
  return SumOf(std::as_bytes(std::span<const uint64_t>(sums)));
}

class RowsInFile final : public TensorRows {
 public:
  RowsInFile(std::unique_ptr<MappedFile> file, Layout layout)
      : file_(std::move(file)), layout_(std::move(layout)) {}

  std::span<const std::byte> Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                  std::vector<std::byte>*) const override {
    return file_->bytes().subspan(kHeaderBytes + layout_.starts.at(tensor.name) + first * tensor.row_bytes(),
                                  (last - first) * tensor.row_bytes());
  }
  std::span<const std::byte> Mapped(const TensorInfo& tensor, uint64_t first, uint64_t last) const override {
    return Rows(tensor, first, last, nullptr);
  }
  Status CheckUnchanged() const override { return file_->CheckUnchanged(); }

 private:
  std::unique_ptr<MappedFile> file_;
  Layout layout_;
};

// Null, and why in `reason`, unless the file is there and sound.
std::unique_ptr<TensorRows> OpenRows(const std::string& path, const std::string& key, Layout layout,
                                     std::string* reason) {
  auto file = MappedFile::Open(path);
  if (!file.has_value()) {
    *reason = file.error().code() == StatusCode::kNotFound ? "" : file.error().message();
    return nullptr;
  }
  const std::span<const std::byte> bytes = (*file)->bytes();
  Header header;
  *reason = "is damaged";
  if (bytes.size() != kHeaderBytes + layout.data_bytes) return nullptr;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0 || header.data_bytes != layout.data_bytes ||
      std::string_view(header.key, sizeof(header.key)) != key)
    return nullptr;
  if (Checksum(bytes.subspan(kHeaderBytes)) != header.checksum || !(*file)->CheckUnchanged().ok())
    return nullptr;
  return std::make_unique<RowsInFile>(std::move(*file), std::move(layout));
}

// Makes room for `bytes`: the files that were not used for longest go. Also what a process that died left half-written.
void Evict(const std::string& folder, uint64_t bytes, uint64_t max_cache_bytes) {
  struct File {
    fs::path path;
    timespec used;
    uint64_t bytes;
  };
  std::vector<File> files;
  uint64_t total = bytes;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    struct stat info;
    if (stat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    constexpr time_t kDay = 24 * 3600;
    if (entry.path().extension() == kUnfinished && info.st_mtim.tv_sec + kDay < time(nullptr))
      fs::remove(entry.path(), error);
    if (entry.path().extension() != kEnding) continue;
    files.push_back({entry.path(), info.st_atim, static_cast<uint64_t>(info.st_size)});
    total += files.back().bytes;
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const File& file : files) {
    if (total <= max_cache_bytes) return;
    if (fs::remove(file.path, error)) total -= file.bytes;
  }
}

bool WriteAt(int file, std::span<const std::byte> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return true;
}

// All rows behind a header that is still empty.
bool WriteRows(int file, std::span<const TensorInfo> tensors, const Layout& layout, const TensorRows& rows) {
  struct Unit {
    const TensorInfo* tensor;
    uint64_t first, last;
  };
  std::vector<Unit> units;
  for (const TensorInfo& tensor : tensors) {
    const uint64_t step = std::max<uint64_t>(1, kUnitBytes / std::max<uint64_t>(1, tensor.row_bytes()));
    for (uint64_t first = 0; first < tensor.num_rows(); first += step)
      units.push_back({&tensor, first, std::min(first + step, tensor.num_rows())});
  }
  if (ftruncate(file, static_cast<off_t>(kHeaderBytes + layout.data_bytes)) != 0) return false;
  std::atomic<bool> good{true};
  ForEachUnit(units.size(), [&](size_t i) {
    if (!good.load(std::memory_order_relaxed)) return;
    std::vector<std::byte> buffer;
    const Unit& unit = units[i];
    const auto bytes = rows.Rows(*unit.tensor, unit.first, unit.last, &buffer);
    const uint64_t at = layout.starts.at(unit.tensor->name) + unit.first * unit.tensor->row_bytes();
    if (!WriteAt(file, bytes, kHeaderBytes + at)) good.store(false);
    MappedFile::DropPages(rows.Mapped(*unit.tensor, unit.first, unit.last));
  });
  return good.load();
}

// The reason why not, or nothing.
std::string WriteFileOfRows(const std::string& path, const std::string& key,
                            std::span<const TensorInfo> tensors, const Layout& layout,
                            const TensorRows& rows) {
  const std::string part = fmt::format("{}.{}{}", path, getpid(), kUnfinished);
  const int file = open(part.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return fmt::format("{} cannot be created: {}", part, std::strerror(errno));
  std::string reason;
  if (!WriteRows(file, tensors, layout, rows))
    reason = fmt::format("{} cannot be written: {}", part, std::strerror(errno));
  if (reason.empty()) {
    const auto mapped = MappedFile::Open(part);
    Header header{};
    std::memcpy(header.magic, kMagic, sizeof(kMagic));
    std::memcpy(header.key, key.data(), std::min(key.size(), sizeof(header.key)));
    header.data_bytes = layout.data_bytes;
    if (mapped.has_value()) header.checksum = Checksum((*mapped)->bytes().subspan(kHeaderBytes));
    if (!mapped.has_value() || !WriteAt(file, std::as_bytes(std::span<const Header>(&header, 1)), 0) ||
        fdatasync(file) != 0)
      reason = fmt::format("{} cannot be written: {}", part, std::strerror(errno));
  }
  close(file);
  if (const Status unchanged = rows.CheckUnchanged(); reason.empty() && !unchanged.ok())
    reason = unchanged.message();
  if (reason.empty() && rename(part.c_str(), path.c_str()) != 0)
    reason = fmt::format("{} cannot be renamed: {}", part, std::strerror(errno));
  if (!reason.empty()) unlink(part.c_str());
  return reason;
}

std::string NoRoom(const std::string& folder, uint64_t bytes, uint64_t max_cache_bytes) {
  if (bytes > max_cache_bytes)
    return fmt::format("{} MiB are more than the {} MiB it may hold", bytes >> 20, max_cache_bytes >> 20);
  struct statvfs info {};
  if (statvfs(folder.c_str(), &info) != 0) return "";
  const uint64_t free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  // Not the last of a disk that others need.
  if (bytes < free_bytes - free_bytes / 10) return "";
  return fmt::format("{} MiB are needed, {} MiB are free", bytes >> 20, free_bytes >> 20);
}

}  // namespace

std::unique_ptr<TensorRows> CachedRows(const std::string& folder, const std::string& key,
                                       const std::string& what, std::span<const TensorInfo> tensors,
                                       std::unique_ptr<TensorRows> rows, uint64_t max_cache_bytes) {
  const std::string hex = Sha256(key);
  const std::string path = fmt::format("{}/{}{}", folder, hex.substr(0, 32), kEnding);
  const Layout layout = LayOut(tensors);
  const auto without = [&](const std::string& reason) {
    LogWarning("{}: the quantized weights cannot be kept in {}, so every start quantizes them again: {}",
               what, folder, reason);
    return std::move(rows);
  };
  std::string reason;
  // Used now, which is what decides who goes first. The time of change stays: it would tell other processes that the file
  // is not what they opened.
  const timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  utimensat(AT_FDCWD, path.c_str(), times, 0);
  if (auto cached = OpenRows(path, hex, layout, &reason)) return cached;
  if (!reason.empty()) LogWarning("{}: {}; it is written anew", path, reason);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return without(error.message());
  const uint64_t bytes = kHeaderBytes + layout.data_bytes;
  if (const std::string no_room = NoRoom(folder, bytes, max_cache_bytes); !no_room.empty())
    return without(no_room);
  fs::remove(path, error);
  Evict(folder, bytes, max_cache_bytes);
  LogInfo("{}: quantizing once; later starts read {}", what, path);
  if (const std::string failed = WriteFileOfRows(path, hex, tensors, layout, *rows); !failed.empty())
    return without(failed);
  if (auto cached = OpenRows(path, hex, layout, &reason)) return cached;
  return without(reason.empty() ? "it vanished" : reason);
}

}  // namespace weir
