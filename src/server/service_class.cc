#include "server/service_class.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/utf8.h"

namespace weir {
namespace {

constexpr std::array<std::string_view, 4> kClassNames = {"interactive", "default", "batch", "sheddable"};

constexpr size_t kMostFairnessBytes = 64;

// A gateway speaks for many: turns are taken among those it names, inside its own name.
void TakeFairnessId(const HttpRequestHead& head, Applicant* applicant) {
  if (!applicant->owner.trusted) return;
  for (const char* header : {"x-gateway-inference-fairness-id", "x-llm-d-inference-fairness-id"}) {
    const std::string* id = head.Find(header);
    if (id == nullptr || id->empty()) continue;
    applicant->owner.name += "/" + id->substr(0, kMostFairnessBytes);
    return;
  }
}

}  // namespace

Result<Applicant> ReadApplicant(const HttpRequestHead& head, const RequestOwner& owner) {
  Applicant applicant{.owner = owner};
  TakeFairnessId(head, &applicant);
  applicant.service_class = std::max(RequestClass::kDefault, owner.highest_class);
  if (const std::string* retries = head.Find("X-Stainless-Retry-Count"); retries != nullptr)
    applicant.is_retry = !retries->empty() && *retries != "0";
  const std::string* asked = head.Find("X-Weir-Class");
  if (asked == nullptr) return applicant;
  const auto found = std::find(kClassNames.begin(), kClassNames.end(), *asked);
  if (found == kClassNames.end()) {
    return InvalidArgument(
               fmt::format("header X-Weir-Class is \"{}\", expected interactive, default, batch or sheddable",
                           QuoteForMessage(*asked)))
        .WithReason("invalid_header");
  }
  applicant.service_class = static_cast<RequestClass>(found - kClassNames.begin());
  if (applicant.service_class < owner.highest_class) {
    return InvalidArgument(fmt::format("header X-Weir-Class is \"{}\", but this key may ask for {} at most",
                                       *asked, kClassNames[static_cast<size_t>(owner.highest_class)]))
        .WithReason("class_not_allowed");
  }
  return applicant;
}

std::string_view ClassName(RequestClass service_class) {
  return kClassNames[static_cast<size_t>(service_class)];
}

RequestClass ClassOfTier(std::string_view service_tier, const Applicant& applicant) {
  if (service_tier == "priority") return std::max(RequestClass::kInteractive, applicant.owner.highest_class);
  if (service_tier == "flex") return std::max(RequestClass::kBatch, applicant.owner.highest_class);
  return applicant.service_class;
}

std::string_view TierName(RequestClass service_class) {
  if (service_class == RequestClass::kInteractive) return "priority";
  return service_class == RequestClass::kDefault ? "default" : "flex";
}

}  // namespace weir
