#include "perf/report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "perf/report/number_format.h"

namespace weir {
namespace {

constexpr double kWidth = 720, kHeight = 360;
constexpr double kLeft = 70, kRight = 20, kTop = 16, kBottom = 52;
// Told apart by lightness as well as by hue, and by dash or mark, so that grey print keeps them apart.
constexpr std::array<const char*, 6> kColors = {"#1f5fbf", "#d9622b", "#2c8c5a",
                                                "#8a4fb3", "#7a7a7a", "#b8962e"};

struct Range {
  double low = 0, high = 1;
  double Place(double value, double from, double to) const {
    return high == low ? from : from + (value - low) / (high - low) * (to - from);
  }
};

// Steps of 1, 2 or 5 times a power of ten, about five of them.
std::vector<double> Ticks(double high) {
  const double raw = high / 5;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  for (int i = 0; i * step <= high * 1.0001; ++i) ticks.push_back(i * step);
  return ticks;
}

std::string Text(double x, double y, const std::string& anchor, const std::string& text,
                 const std::string& more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>", x, y, anchor, more,
                     EscapeHtml(text));
}

std::string Legend(const Json& series) {
  std::string out = "<div class=\"legend\">";
  int color = 0;
  for (const Json& one : series) {
    const std::string style = one.value("style", "line");
    const char* mark = style == "crosses"  ? "&#10005;"
                       : style == "dots"   ? "&#9679;"
                       : style == "dashed" ? "&#9476;"
                                           : "&#9473;";
    out += fmt::format("<span><b style=\"color:{}\">{}</b> {}</span>", kColors[color % kColors.size()], mark,
                       EscapeHtml(one.value("name", "")));
    ++color;
  }
  return out + "</div>";
}

std::string Open(const Json& chart) {
  return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">", kWidth, kHeight,
                     EscapeHtml(chart.value("title", "")));
}

std::string Path(const Json& points, const std::string& style, const char* color, const Range& x,
                 const Range& y, bool log2_x) {
  std::string path, marks;
  double previous_y = 0;
  bool first = true;
  for (const Json& point : points) {
    const double raw_x = point[0].get<double>();
    const double px = x.Place(log2_x ? std::log2(raw_x) : raw_x, kLeft, kWidth - kRight);
    const double py = y.Place(point[1].get<double>(), kHeight - kBottom, kTop);
    if (style == "dots") {
      marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\" fill-opacity=\".75\"/>",
                           px, py, color);
    } else if (style == "crosses") {
      marks += fmt::format(
          "<path d=\"M{0:.1f} {2:.1f}L{1:.1f} {3:.1f}M{0:.1f} {3:.1f}L{1:.1f} {2:.1f}\" stroke=\"{4}\" "
          "stroke-width=\"2\"/>",
          px - 4, px + 4, py - 4, py + 4, color);
    } else {
      if (style == "steps" && !first) path += fmt::format("L{:.1f} {:.1f}", px, previous_y);
      path += fmt::format("{}{:.1f} {:.1f}", first ? "M" : "L", px, py);
      if (style == "line") {
        marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"/>", px, py, color);
      }
    }
    previous_y = py;
    first = false;
  }
  if (path.empty()) return marks;
  return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{}/>", path, color,
                     style == "dashed" ? " stroke-dasharray=\"6 5\"" : "") +
         marks;
}

std::string RenderXy(const Json& chart) {
  const bool log2_x = chart.value("log2_x", false);
  Range x{1e300, -1e300}, y{0, 0};
  std::vector<double> x_marks;
  for (const Json& series : chart["series"]) {
    for (const Json& point : series["points"]) {
      const double px = log2_x ? std::log2(point[0].get<double>()) : point[0].get<double>();
      x.low = std::min(x.low, px);
      x.high = std::max(x.high, px);
      y.high = std::max(y.high, point[1].get<double>());
      if (log2_x) x_marks.push_back(point[0].get<double>());
    }
  }
  if (x.low > x.high) return "";
  if (!log2_x) x.low = std::min(0.0, x.low);
  if (x.high == x.low) x.high = x.low + 1;
  if (y.high <= 0) y.high = 1;
  const std::vector<double> y_ticks = Ticks(y.high);
  y.high = std::max(y.high * 1.03, y_ticks.back());

  std::string out = Open(chart);
  for (double tick : y_ticks) {
    const double py = y.Place(tick, kHeight - kBottom, kTop);
    out += fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>", kLeft, py, kWidth - kRight);
    out += Text(kLeft - 8, py + 4, "end", FormatNumber(tick));
  }
  if (!log2_x) x_marks = Ticks(x.high);
  std::sort(x_marks.begin(), x_marks.end());
  x_marks.erase(std::unique(x_marks.begin(), x_marks.end()), x_marks.end());
  for (double mark : x_marks) {
    const double px = x.Place(log2_x ? std::log2(mark) : mark, kLeft, kWidth - kRight);
    out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {}v5\"/>", px, kHeight - kBottom);
    out += Text(px, kHeight - kBottom + 19, "middle", FormatNumber(mark));
  }
  out += fmt::format("<path class=\"axis\" d=\"M{} {}V{}H{}\"/>", kLeft, kTop, kHeight - kBottom,
                     kWidth - kRight);
  int color = 0;
  for (const Json& series : chart["series"]) {
    out += Path(series["points"], series.value("style", "line"), kColors[color++ % kColors.size()], x, y,
                log2_x);
  }
  out += Text((kLeft + kWidth - kRight) / 2, kHeight - 10, "middle", chart.value("x", ""));
  out += Text(16, (kTop + kHeight - kBottom) / 2, "middle", chart.value("y", ""),
              fmt::format(" transform=\"rotate(-90 16 {:.1f})\"", (kTop + kHeight - kBottom) / 2));
  return out + "</svg>" + Legend(chart["series"]);
}

std::string RenderBars(const Json& chart) {
  const Json& points = chart["series"][0]["points"];
  double high = 0;
  for (const Json& point : points) high = std::max(high, point[1].get<double>());
  if (high <= 0) high = 1;
  const double row = (kHeight - kTop - 24) / std::max<size_t>(1, points.size());
  std::string out = Open(chart);
  double top = kTop;
  for (const Json& point : points) {
    const double width = std::max(1.0, point[1].get<double>() / high * (kWidth - 190 - 130));
    out += Text(184, top + row / 2 + 4, "end", point[0].get<std::string>());
    out += fmt::format("<rect x=\"190\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>",
                       top + row * 0.15, width, row * 0.7, kColors[0]);
    out += Text(196 + width, top + row / 2 + 4, "start", point[2].get<std::string>());
    top += row;
  }
  return out + Text((190 + kWidth) / 2, kHeight - 8, "middle", chart.value("y", "")) + "</svg>";
}

// Floating bars: a point is {name, end, label, begin}.
std::string RenderWaterfall(const Json& chart) {
  const Json& points = chart["series"][0]["points"];
  double low = 0, high = 0;
  for (const Json& point : points) {
    for (const int side : {1, 3}) {
      low = std::min(low, point[static_cast<size_t>(side)].get<double>());
      high = std::max(high, point[static_cast<size_t>(side)].get<double>());
    }
  }
  if (high <= low) high = low + 1;
  const double left = 232, right = kWidth - 116;
  const Range x{low, high};
  const double row = (kHeight - kTop - 24) / static_cast<double>(std::max<size_t>(1, points.size()));
  std::string out = Open(chart);
  double top = kTop;
  for (const Json& point : points) {
    const double end = x.Place(point[1].get<double>(), left, right);
    const double begin = x.Place(point[3].get<double>(), left, right);
    const bool is_total = point[3].get<double>() == 0 &&
                          point[2].get<std::string>().find("−") == std::string::npos &&
                          !point[2].get<std::string>().starts_with("+");
    // Gains and losses differ in lightness too.
    const char* color = is_total ? kColors[0] : end < begin ? kColors[1] : kColors[2];
    out += Text(left - 6, top + row / 2 + 4, "end", point[0].get<std::string>());
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>",
                       std::min(begin, end), top + row * 0.15, std::max(1.0, std::fabs(end - begin)),
                       row * 0.7, color);
    out +=
        fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}v{:.1f}\"/>", end, top + row * 0.85, row * 0.3);
    out += Text(std::max(begin, end) + 6, top + row / 2 + 4, "start", point[2].get<std::string>());
    top += row;
  }
  return out + Text((left + right) / 2, kHeight - 8, "middle", chart.value("y", "")) + "</svg>";
}

std::string RenderStack(const Json& chart) {
  const Json& series = chart["series"];
  const size_t rows = series.empty() ? 0 : series[0]["points"].size();
  const double row = (kHeight - kTop - 40) / std::max<size_t>(1, rows);
  std::string out = Open(chart);
  for (size_t i = 0; i < rows; ++i) {
    const double top = kTop + row * static_cast<double>(i);
    out += Text(184, top + row / 2 + 4, "end", series[0]["points"][i][0].get<std::string>());
    double left = 190;
    int color = 0;
    for (const Json& one : series) {
      const double share = one["points"][i][1].get<double>();
      const double width = std::max(0.0, share) * (kWidth - 190 - 20);
      out += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" "
          "stroke=\"#fff\"/>",
          left, top + row * 0.2, width, row * 0.6, kColors[color++ % kColors.size()]);
      if (width > 46) {
        out += Text(left + width / 2, top + row / 2 + 4, "middle",
                    FormatPercent(std::round(share * 100) / 100), " fill=\"#fff\" style=\"fill:#fff\"");
      }
      left += width;
    }
  }
  out += Text((190 + kWidth - 20) / 2, kHeight - 8, "middle", chart.value("y", ""));
  return out + "</svg>" + Legend(series);
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string RenderSvg(const Json& chart) {
  const std::string kind = chart.value("kind", "xy");
  if (kind == "bars") return RenderBars(chart);
  if (kind == "waterfall") return RenderWaterfall(chart);
  if (kind == "stack") return RenderStack(chart);
  return RenderXy(chart);
}

std::string RenderChartTable(const Json& chart) {
  std::string out = fmt::format("<table><tr><th>series</th><th>{}</th><th>{}</th></tr>",
                                EscapeHtml(chart.value("x", "")), EscapeHtml(chart.value("y", "")));
  for (const Json& series : chart["series"]) {
    for (const Json& point : series["points"]) {
      const std::string x =
          point[0].is_string() ? point[0].get<std::string>() : FormatNumber(point[0].get<double>());
      out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>", EscapeHtml(series.value("name", "")),
                         EscapeHtml(x), FormatNumber(point[1].get<double>()));
    }
  }
  return out + "</table>";
}

}  // namespace weir
