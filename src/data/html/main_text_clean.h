#pragma once
// What crept into a part of the main text, told by its shape.
#include "data/html/tree.h"

namespace fettle::data {

/// Marks as removed, below `part`: footers, asides, fields, buttons for sharing, and `thoroughly` also lists,
/// tables and boxes that hold links, pictures or fields rather than text. `weigh_names`: classes and ids
/// count. Takes `prose` of the nodes as set.
void clean_part(HtmlNode& part, bool weigh_names, bool thoroughly);

}  // namespace fettle::data
