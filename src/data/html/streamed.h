#pragma once
// Pages that React sends in pieces.
#include "data/html/tree.h"

namespace fettle::data {

/// Puts each piece that was sent after the page where React's script would: a hidden <div id="S:1"> belongs
/// to <template id="B:1"> (react-dom/server, renderToPipeableStream). A piece that would nest too deep stays.
void place_streamed(HtmlTree& tree);

}  // namespace fettle::data
