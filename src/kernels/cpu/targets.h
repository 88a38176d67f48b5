// Included before Highway in every file of this folder: which instruction sets are compiled besides the
// scalar baseline. No include guard is needed; the definition is the same each time.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#endif
