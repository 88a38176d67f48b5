#include "data/signals/language.h"

#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

#include <algorithm>

namespace fettle::data {

Language detect_language(std::string_view text) {
  constexpr size_t most = size_t{1} << 20;  // more text does not make it surer
  const CLD2::CLDHints hints{nullptr, nullptr, CLD2::UNKNOWN_ENCODING, CLD2::UNKNOWN_LANGUAGE};
  CLD2::Language languages[3];
  int percent[3], bytes = 0, valid = 0;
  double scores[3];
  bool reliable = false;
  CLD2::ExtDetectLanguageSummaryCheckUTF8(text.data(), static_cast<int>(std::min(text.size(), most)), true,
                                          &hints, 0, languages, percent, scores, nullptr, &bytes, &reliable,
                                          &valid);
  if (languages[0] == CLD2::UNKNOWN_LANGUAGE) return {"un", 0};
  return {CLD2::LanguageCode(languages[0]), percent[0] / (reliable ? 100.0 : 200.0)};
}

}  // namespace fettle::data
