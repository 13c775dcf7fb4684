// Whatever a user gets wrong: one clear line, the documented exit code, and nothing lost.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "tests/support/process.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

ProcessResult Weir(std::vector<std::string> arguments, const std::string& folder = ".") {
  arguments.insert(arguments.begin(), WEIR_BINARY);
  return RunProcess(arguments, folder);
}

void ExpectOneClearLine(const ProcessResult& result, int exit_code, const std::string& words) {
  EXPECT_EQ(result.exit_code, exit_code) << result.errors;
  EXPECT_EQ(std::count(result.errors.begin(), result.errors.end(), '\n'), 1) << result.errors;
  EXPECT_NE(result.errors.find(words), std::string::npos) << result.errors;
}

class BadInputTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "weir-bad-input-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(BadInputTest, UnknownCommandsAndFlagsGetASuggestion) {
  ExpectOneClearLine(Weir({"serv"}), 2, "did you mean 'serve'?");
  ExpectOneClearLine(Weir({"bench", "--batch-size", "1"}), 2, "--batch-sizes");
  ExpectOneClearLine(Weir({"load", "--concurency", "5"}), 2, "--concurrency");
  ExpectOneClearLine(Weir({"serve", "--port", "many"}), 2, "--port");
}

TEST_F(BadInputTest, MissingModelsAndFoldersAreNamed) {
  for (const char* command : {"bench", "serve", "inspect", "chat"}) {
    const auto flags = [&](const std::string& path) {
      return std::string(command) == "inspect" ? std::vector<std::string>{command, path}
                                               : std::vector<std::string>{command, "--model", path};
    };
    ExpectOneClearLine(Weir(flags(folder_ + "/missing.gguf"), folder_), 3, "missing.gguf");
    const ProcessResult directory = Weir(flags(folder_), folder_);
    EXPECT_TRUE(directory.exit_code == 2 || directory.exit_code == 3) << command << directory.errors;
    EXPECT_NE(directory.errors.find("directory"), std::string::npos) << command << directory.errors;
  }
}

TEST_F(BadInputTest, DamagedModelsAreRefusedByEveryCommand) {
  const std::string wrong = folder_ + "/wrong.gguf";
  ASSERT_TRUE(WriteFile(wrong, "GGUX" + std::string(100, 'x')).ok());
  for (const char* command : {"bench", "serve", "chat"}) {
    ExpectOneClearLine(Weir({command, "--model", wrong}, folder_), 3, "not a GGUF file");
  }
}

TEST_F(BadInputTest, TruncatedModelsAreRefusedAtTwentyCutPoints) {
  const TinyModel model;
  const std::string content = *ReadFile(model.path());
  const std::string cut = folder_ + "/cut.gguf";
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(WriteFile(cut, content.substr(0, content.size() * i / 20)).ok());
    ExpectOneClearLine(Weir({"inspect", cut}), 3, "cut.gguf");
  }
  EXPECT_EQ(Weir({"inspect", model.path()}).exit_code, 0);
}

TEST_F(BadInputTest, APortInUseIsSaidBeforeTheModelLoads) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), 0);
  const TinyModel model;
  const std::string port = std::to_string(ntohs(address.sin_port));
  ExpectOneClearLine(Weir({"serve", "--model", model.path(), "--port", port}), 4, port);
  close(fd);
}

TEST_F(BadInputTest, SyntheticWeightsAndFilesAreNotMixedUp) {
  for (const char* command : {"bench", "serve"}) {
    ExpectOneClearLine(Weir({command, "--load-format", "dummy", "--shape", "x", "--quantization", "q8_0"}), 2,
                       "expected one of: smollm2-135m, llama-3.2-1b, llama-3.2-3b, llama-3.1-8b");
    ExpectOneClearLine(Weir({command, "--load-format", "random"}), 2, "expected one of: gguf, dummy");
    ExpectOneClearLine(Weir({command, "--shape", "llama-3.2-1b"}), 2, "add --load-format dummy");
    ExpectOneClearLine(Weir({command, "--load-format", "dummy", "--shape", "llama-3.2-1b", "--quantization",
                             "q8_0", "--model", "m.gguf"}),
                       2, "leave one of them out");
    ExpectOneClearLine(Weir({command, "--weights", "disk"}), 2, "expected one of: repack, mmap");
  }
}

TEST_F(BadInputTest, AnUnreachableServerIsOneLine) {
  ExpectOneClearLine(Weir({"load", "--url", "http://127.0.0.1:1", "--output", folder_ + "/out.json"}), 4,
                     "127.0.0.1:1");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/out.json"));
  EXPECT_EQ(Weir({"load", "--url", "not a url"}, folder_).exit_code, 2);
}

TEST_F(BadInputTest, AnUnwritableOutputIsSaidBeforeTheWork) {
  const TinyModel model;
  const std::string nowhere = folder_ + "/no/such/folder/out.json";
  ExpectOneClearLine(Weir({"bench", "--model", model.path(), "--output", nowhere}), 2, nowhere);
  ExpectOneClearLine(Weir({"load", "--url", "http://127.0.0.1:1", "--output", nowhere}), 2, nowhere);
  // What stood there before is still there after a run that failed.
  const std::string kept = folder_ + "/kept.json";
  ASSERT_TRUE(WriteFile(kept, "precious").ok());
  EXPECT_EQ(Weir({"load", "--url", "http://127.0.0.1:1", "--output", kept}).exit_code, 4);
  EXPECT_EQ(*ReadFile(kept), "precious");
}

TEST_F(BadInputTest, ReportsNameTheFileTheyCannotRead) {
  ExpectOneClearLine(Weir({"report", folder_ + "/none.json"}, folder_), 3, "none.json");
  ASSERT_TRUE(WriteFile(folder_ + "/bad.json", "{\"kind\":").ok());
  ExpectOneClearLine(Weir({"report", folder_ + "/bad.json"}, folder_), 3, "bad.json");
  ASSERT_TRUE(
      WriteFile(folder_ + "/new.json", R"({"schema_version":"2.0","kind":"benchmark","results":[]})").ok());
  ExpectOneClearLine(Weir({"report", folder_ + "/new.json"}, folder_), 3, "2.0");
}

}  // namespace
}  // namespace weir
