#include "engine/tokenizer/jinja_format.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

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

// Python writes everything else as an escape.
bool IsPrintable(int32_t code_point) {
  if (code_point == ' ') return true;
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

class Writer {
 public:
  Writer(JinjaHeap* heap, const JinjaJsonStyle& style) : heap_(*heap), style_(style) {}

  Status Repr(const JinjaValue& value) {
    WEIR_RETURN_IF_ERROR(CheckSize());
    if (AppendScalar(value, kPythonWords, &out_)) return OkStatus();
    if (value.is_undefined()) {
      out_.Append("Undefined", true);
      return OkStatus();
    }
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
      return JinjaError(fmt::format("cannot print {}", value.kind_name()));
    }
    return OkStatus();
  }

  Status Json(const JinjaValue& value, int level) {
    WEIR_RETURN_IF_ERROR(CheckSize());
    if (const double* number = value.Get<double>(); number != nullptr && !std::isfinite(*number)) {
      out_.Append(std::isnan(*number) ? "NaN" : *number > 0 ? "Infinity" : "-Infinity", true);
      return OkStatus();
    }
    if (AppendScalar(value, kJsonWords, &out_)) return OkStatus();
    if (const JinjaText* text = value.text()) {
      WEIR_RETURN_IF_ERROR(heap_.SpendOnCharacters(text->size()));
      JsonString(*text);
    } else if (const auto* items = value.list()) {
      for (size_t i = 0; i < items->size(); ++i) {
        Separate("[", i == 0, level + 1);
        WEIR_RETURN_IF_ERROR(Json((*items)[i], level + 1));
      }
      Close("[", "]", items->empty(), level);
    } else if (const JinjaDict* dict = value.dict()) {
      const JinjaEntries& entries = dict->entries;
      std::vector<size_t> order;
      if (style_.sort_keys) {
        WEIR_RETURN_IF_ERROR(heap_.Spend(entries.size()));
        order.resize(entries.size());
        std::iota(order.begin(), order.end(), size_t{0});
        std::sort(order.begin(), order.end(),
                  [&](size_t a, size_t b) { return entries[a].first < entries[b].first; });
      }
      for (size_t i = 0; i < entries.size(); ++i) {
        const auto& [key, entry] = entries[order.empty() ? i : order[i]];
        Separate("{", i == 0, level + 1);
        JsonString(JinjaText(key, false));
        out_.Append(style_.key);
        WEIR_RETURN_IF_ERROR(Json(entry, level + 1));
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

  void Separate(std::string_view open, bool first, int level) {
    if (first) {
      out_.Append(open, true);
    } else {
      out_.Append(style_.item);
    }
    NewLine(level);
  }

  void NewLine(int level) {
    if (!style_.margin.has_value()) return;
    out_.Append("\n", true);
    for (int i = 0; i < level; ++i) out_.Append(*style_.margin);
  }

  void Close(std::string_view open, std::string_view close, bool empty, int level) {
    if (empty) {
      out_.Append(open, true);
    } else {
      NewLine(level);
    }
    out_.Append(close, true);
  }

  void Quote(const JinjaText& text) {
    const bool doubles =
        text.str().find('\'') != std::string::npos && text.str().find('"') == std::string::npos;
    const char quote = doubles ? '"' : '\'';
    out_.Append(std::string_view(&quote, 1), true);
    size_t position = 0;
    for (const JinjaText::Run& run : text.runs()) {
      for (const size_t end = position + run.bytes; position < end;) {
        const size_t start = position;
        const int32_t code_point = NextCodePoint(text.str(), &position);
        constexpr std::string_view kSpecial = "\n\r\t";
        constexpr std::string_view kLetters = "nrt";
        const size_t at =
            code_point < 0x80 ? kSpecial.find(static_cast<char>(code_point)) : std::string_view::npos;
        if (code_point == '\\' || code_point == quote) {
          out_.Append(std::string("\\") + static_cast<char>(code_point), run.from_template);
        } else if (at != std::string_view::npos) {
          out_.Append(std::string("\\") + kLetters[at], run.from_template);
        } else if (IsPrintable(code_point)) {
          out_.Append(std::string_view(text.str()).substr(start, position - start), run.from_template);
        } else if (code_point < 0x100) {
          out_.Append(fmt::format("\\x{:02x}", code_point), run.from_template);
        } else {
          out_.Append(code_point < 0x10000 ? fmt::format("\\u{:04x}", code_point)
                                           : fmt::format("\\U{:08x}", code_point),
                      run.from_template);
        }
      }
    }
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
        } else if (code_point < 0x20 || (style_.ascii && code_point >= 0x7F && code_point < 0x10000)) {
          out_.Append(fmt::format("\\u{:04x}", code_point), run.from_template);
        } else if (style_.ascii && code_point >= 0x10000) {
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
  const JinjaJsonStyle& style_;
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
  if (value.is_undefined()) return JinjaText();  // by itself; inside a list it has a name
  if (const JinjaText* text = value.text()) return *text;
  return JinjaRepr(value, heap);
}

Result<JinjaText> JinjaRepr(const JinjaValue& value, JinjaHeap* heap) {
  const JinjaJsonStyle style;
  Writer writer(heap, style);
  WEIR_RETURN_IF_ERROR(writer.Repr(value));
  return writer.Take();
}

Result<JinjaText> JinjaToJson(const JinjaValue& value, const JinjaJsonStyle& style, JinjaHeap* heap) {
  Writer writer(heap, style);
  WEIR_RETURN_IF_ERROR(writer.Json(value, 0));
  return writer.Take();
}

}  // namespace weir
