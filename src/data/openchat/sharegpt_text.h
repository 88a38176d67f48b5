#pragma once
// The text of one turn of a ShareGPT page, as OpenChat's clean_sharegpt makes it (imoneoi/openchat, 2023).
#include <string>
#include <string_view>

namespace fettle::data {

/// What to make of a code block that has no "Copy code" button.
enum class CodeBlocks {
  repaired,  ///< it stays as it is
  upstream,  ///< it swallows what follows up to the next button, as the published program did
};

/// Takes <div…> and <span…> away, makes Markdown of the rest, turns the name above a code block's button into
/// the block's language, and takes away what the page's buttons left in the text ("2 / 3", "Copy12 chars / 3
/// words"). Throws SoupError where the published program counted a parser error. Thread-safe.
std::string sharegpt_to_markdown(std::string_view html, CodeBlocks blocks = CodeBlocks::repaired);

}  // namespace fettle::data
