#include "engine/tokenizer/jinja_format.h"

#include <fmt/format.h>

#include <cmath>

#include "base/utf8.h"

namespace weir {
namespace {

// What the text of a number or a boolean is, apart from its spelling in Python or JSON.
struct Words {
  std::string_view none;
  std::string_view yes;
  std::string_view no;
};

constexpr Words kPythonWords = {"None", "True", "False"};
constexpr Words kJsonWords = {"null", "true", "false"};

// False for values that are no scalar.
bool AppendScalar(const JinjaValue& value, const Words& words, JinjaText* out) {
  if (value.is_none()) {
    out->Append(words.none, true);
  } else if (const bool* flag = value.Get<bool>()) {
    out->Append(*flag ? words.yes : words.no, true);
  } else if (const int64_t* integer = value.Get<int64_t>()) {
    out->Append(fmt::format("{}", *integer), false);
  } else if (const double* number = value.Get<double>()) {
    out->Append(JinjaFloatText(*number), false);
  } else {
    return false;
  }
  return true;
}

class Writer {
 public:
  Writer(JinjaHeap* heap, int indent, bool ascii) : heap_(*heap), indent_(indent), ascii_(ascii) {}

  Status Repr(const JinjaValue& value) {
    WEIR_RETURN_IF_ERROR(CheckSize());
    if (AppendScalar(value, kPythonWords, &out_) || value.is_undefined()) return OkStatus();
    if (const JinjaText* text = value.text()) {
      WEIR_RETURN_IF_ERROR(heap_.SpendOnCharacters(text->size()));
      Quote(*text);
    } else if (const auto* items = value.list()) {
      out_.Append(value.is_tuple() ? "(" : "[", true);
      for (size_t i = 0; i < items->size(); ++i) {
        if (i > 0) out_.Append(", ", true);
        WEIR_RETURN_IF_ERROR(Repr((*items)[i]));
      }
      if (value.is_tuple() && items->size() == 1) out_.Append(",", true);
      out_.Append(value.is_tuple() ? ")" : "]", true);
    } else if (const JinjaDict* dict = value.dict()) {
      out_.Append("{", true);
      for (size_t i = 0; i < dict->entries.size(); ++i) {
        if (i > 0) out_.Append(", ", true);
        Quote(JinjaText(dict->entries[i].first, false));
        out_.Append(": ", true);
        WEIR_RETURN_IF_ERROR(Repr(dict->entries[i].second));
      }
      out_.Append("}", true);
    } else {
      out_.Append(fmt::format("<{}>", value.kind_name()), true);
    }
    return OkStatus();
  }

  Status Json(const JinjaValue& value, int level) {
    WEIR_RETURN_IF_ERROR(CheckSize());
    if (AppendScalar(value, kJsonWords, &out_)) return OkStatus();
    if (const JinjaText* text = value.text()) {
      WEIR_RETURN_IF_ERROR(heap_.SpendOnCharacters(text->size()));
      JsonString(*text);
    } else if (const auto* items = value.list()) {
      for (size_t i = 0; i < items->size(); ++i) {
        Separate(i == 0 ? "[" : ",", i == 0, level + 1);
        WEIR_RETURN_IF_ERROR(Json((*items)[i], level + 1));
      }
      Close("[", "]", items->empty(), level);
    } else if (const JinjaDict* dict = value.dict()) {
      const JinjaEntries& entries = dict->entries;
      for (size_t i = 0; i < entries.size(); ++i) {
        Separate(i == 0 ? "{" : ",", i == 0, level + 1);
        JsonString(JinjaText(entries[i].first, false));
        out_.Append(": ", true);
        WEIR_RETURN_IF_ERROR(Json(entries[i].second, level + 1));
      }
      Close("{", "}", entries.empty(), level);
    } else {
      return JinjaError(fmt::format("tojson cannot write {}", value.kind_name()));
    }
    return OkStatus();
  }

  JinjaText Take() { return std::move(out_); }

 private:
  // Shared values can print far larger than they are.
  Status CheckSize() {
    WEIR_RETURN_IF_ERROR(heap_.Spend(1));
    return heap_.Room(out_.footprint());
  }

  void Separate(std::string_view mark, bool first, int level) {
    out_.Append(mark, true);
    if (indent_ >= 0) {
      out_.Append("\n" + std::string(static_cast<size_t>(indent_ * level), ' '), true);
    } else if (!first) {
      out_.Append(" ", true);
    }
  }

  void Close(std::string_view open, std::string_view close, bool empty, int level) {
    if (empty) {
      out_.Append(open, true);
    } else if (indent_ >= 0) {
      out_.Append("\n" + std::string(static_cast<size_t>(indent_ * level), ' '), true);
    }
    out_.Append(close, true);
  }

  // Calls escape(byte, origin) for each byte.
  template <typename Escape>
  void ForEachByte(const JinjaText& text, const Escape& escape) {
    size_t position = 0;
    for (const JinjaText::Run& run : text.runs()) {
      const size_t end = position + run.bytes;
      for (; position < end; ++position) escape(text.str()[position], run.from_template);
    }
  }

  void Quote(const JinjaText& text) {
    const bool doubles =
        text.str().find('\'') != std::string::npos && text.str().find('"') == std::string::npos;
    const char quote = doubles ? '"' : '\'';
    out_.Append(std::string_view(&quote, 1), true);
    ForEachByte(text, [&](char byte, bool origin) {
      if (byte == '\\' || byte == quote) {
        out_.Append(std::string("\\") + byte, origin);
      } else if (byte == '\n') {
        out_.Append("\\n", origin);
      } else if (byte == '\r') {
        out_.Append("\\r", origin);
      } else if (byte == '\t') {
        out_.Append("\\t", origin);
      } else if (static_cast<uint8_t>(byte) < 0x20 || byte == 0x7F) {
        out_.Append(fmt::format("\\x{:02x}", static_cast<uint8_t>(byte)), origin);
      } else {
        out_.Append(std::string_view(&byte, 1), origin);
      }
    });
    out_.Append(std::string_view(&quote, 1), true);
  }

  void JsonString(const JinjaText& text) {
    out_.Append("\"", true);
    size_t position = 0;
    for (const JinjaText::Run& run : text.runs()) {
      for (const size_t end = position + run.bytes; position < end;) {
        const size_t start = position;
        const int32_t code_point = NextCodePoint(text.str(), &position);
        constexpr std::string_view kSpecial = "\"\\\n\r\t\b\f";
        constexpr std::string_view kLetters = "\"\\nrtbf";
        const size_t at =
            code_point < 0x80 ? kSpecial.find(static_cast<char>(code_point)) : std::string_view::npos;
        if (at != std::string_view::npos) {
          out_.Append(std::string("\\") + kLetters[at], run.from_template);
        } else if (code_point < 0x20 || (ascii_ && code_point >= 0x7F && code_point < 0x10000)) {
          out_.Append(fmt::format("\\u{:04x}", code_point), run.from_template);
        } else if (ascii_ && code_point >= 0x10000) {
          const int32_t rest = code_point - 0x10000;
          out_.Append(fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF)),
                      run.from_template);
        } else {
          out_.Append(std::string_view(text.str()).substr(start, position - start), run.from_template);
        }
      }
    }
    out_.Append("\"", true);
  }

  JinjaHeap& heap_;
  int indent_;
  bool ascii_;
  JinjaText out_;
};

}  // namespace

std::string JinjaFloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

Result<JinjaText> JinjaToText(const JinjaValue& value, JinjaHeap* heap) {
  if (const JinjaText* text = value.text()) return *text;
  Writer writer(heap, -1, false);
  WEIR_RETURN_IF_ERROR(writer.Repr(value));
  return writer.Take();
}

Result<JinjaText> JinjaToJson(const JinjaValue& value, int indent, bool ascii, JinjaHeap* heap) {
  Writer writer(heap, indent, ascii);
  WEIR_RETURN_IF_ERROR(writer.Json(value, 0));
  return writer.Take();
}

}  // namespace weir
