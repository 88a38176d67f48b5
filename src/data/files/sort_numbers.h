#pragma once
// Sorting integers with the widest vectors of the processor (Highway's vqsort).
#include <hwy/contrib/sort/vqsort.h>

#include <vector>

namespace fettle::data {

/// Ascending; T is uint32_t or uint64_t. Thread-safe.
template <typename T>
void sort_numbers(std::vector<T>& numbers) {
  thread_local const hwy::Sorter sorter;  // owns scratch memory
  sorter(numbers.data(), numbers.size(), hwy::SortAscending());
}

}  // namespace fettle::data
