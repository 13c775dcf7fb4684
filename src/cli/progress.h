// Shows how far a long run is: a bar that redraws itself on a terminal, a plain line every 10 s elsewhere.
//
// Threads   one at a time
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace weir {

class ProgressBar {
 public:
  // `title` stands before the bar ("benchmark"). Writes to stderr, so that stdout stays for results.
  explicit ProgressBar(std::string title);
  ~ProgressBar();  // leaves the line clean

  void Update(double fraction, std::string_view what);
  // Ends the bar; later updates start a new one.
  void Finish();

 private:
  void Draw(double fraction, std::string_view what);

  std::string title_;
  bool terminal_ = false;
  bool drawn_ = false;
  TimePoint started_{};
  TimePoint last_{};
};

}  // namespace weir
