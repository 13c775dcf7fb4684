#include "perf/recorder/run_index.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

namespace weir {
namespace {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS runs (run_id TEXT PRIMARY KEY, kind TEXT NOT NULL, created_at TEXT NOT NULL, "
    "file TEXT NOT NULL, verdict TEXT NOT NULL)";

Status Failure(const std::string& path, sqlite3* database) {
  return Internal(fmt::format("'{}': {}", path, sqlite3_errmsg(database)));
}

Result<Database> Open(const std::string& path) {
  std::error_code error;
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error) return InvalidArgument(fmt::format("cannot make '{}': {}", folder.string(), error.message()));
  sqlite3* raw = nullptr;
  const int code = sqlite3_open(path.c_str(), &raw);
  Database database(raw);
  if (code != SQLITE_OK) return Failure(path, database.get());
  sqlite3_busy_timeout(database.get(), 2000);
  if (sqlite3_exec(database.get(), kSchema, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return Failure(path, database.get());
  }
  return database;
}

Result<Statement> Prepare(const std::string& path, sqlite3* database, const char* sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v2(database, sql, -1, &raw, nullptr);
  Statement statement(raw);
  if (code != SQLITE_OK) return Failure(path, database);
  return statement;
}

std::string Column(sqlite3_stmt* statement, int column) {
  const unsigned char* text = sqlite3_column_text(statement, column);
  return text == nullptr ? "" : reinterpret_cast<const char*>(text);
}

Result<std::vector<RunEntry>> ReadEntries(const std::string& path, sqlite3* database,
                                          sqlite3_stmt* statement) {
  std::vector<RunEntry> entries;
  int code = 0;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    entries.push_back({Column(statement, 0), Column(statement, 1), Column(statement, 2), Column(statement, 3),
                       Column(statement, 4)});
  }
  if (code != SQLITE_DONE) return Failure(path, database);
  return entries;
}

}  // namespace

std::string RunIndex::DefaultPath() {
  if (const char* state = std::getenv("WEIR_STATE"); state != nullptr && *state != '\0') {
    return std::string(state) + "/runs.db";
  }
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : ".") + "/.local/state/weir/runs.db";
}

Status RunIndex::Add(const RunEntry& entry) const {
  WEIR_ASSIGN_OR_RETURN(const Database database, Open(path_));
  WEIR_ASSIGN_OR_RETURN(
      const Statement statement,
      Prepare(path_, database.get(), "INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5)"));
  int column = 0;
  for (const std::string* text :
       {&entry.run_id, &entry.kind, &entry.created_at, &entry.file, &entry.verdict}) {
    sqlite3_bind_text(statement.get(), ++column, text->data(), static_cast<int>(text->size()), SQLITE_STATIC);
  }
  if (sqlite3_step(statement.get()) != SQLITE_DONE) return Failure(path_, database.get());
  return OkStatus();
}

Result<std::vector<RunEntry>> RunIndex::List(int limit) const {
  WEIR_ASSIGN_OR_RETURN(const Database database, Open(path_));
  WEIR_ASSIGN_OR_RETURN(const Statement statement,
                        Prepare(path_, database.get(),
                                "SELECT run_id, kind, created_at, file, verdict FROM runs "
                                "ORDER BY created_at DESC, run_id DESC LIMIT ?1"));
  sqlite3_bind_int(statement.get(), 1, limit);
  return ReadEntries(path_, database.get(), statement.get());
}

Result<std::vector<RunEntry>> RunIndex::Find(const std::string& prefix) const {
  if (prefix == "latest") return List(1);
  WEIR_ASSIGN_OR_RETURN(const Database database, Open(path_));
  WEIR_ASSIGN_OR_RETURN(const Statement statement,
                        Prepare(path_, database.get(),
                                "SELECT run_id, kind, created_at, file, verdict FROM runs "
                                "WHERE substr(run_id, 1, length(?1)) = ?1 AND length(?1) > 0 "
                                "ORDER BY created_at DESC, run_id DESC"));
  sqlite3_bind_text(statement.get(), 1, prefix.data(), static_cast<int>(prefix.size()), SQLITE_STATIC);
  return ReadEntries(path_, database.get(), statement.get());
}

Result<bool> RunIndex::Remove(const std::string& run_id) const {
  WEIR_ASSIGN_OR_RETURN(const Database database, Open(path_));
  WEIR_ASSIGN_OR_RETURN(const Statement statement,
                        Prepare(path_, database.get(), "DELETE FROM runs WHERE run_id = ?1"));
  sqlite3_bind_text(statement.get(), 1, run_id.data(), static_cast<int>(run_id.size()), SQLITE_STATIC);
  if (sqlite3_step(statement.get()) != SQLITE_DONE) return Failure(path_, database.get());
  return sqlite3_changes(database.get()) > 0;
}

}  // namespace weir
