/* Products of a few rows and a matrix, with sums in the order of a matrix product of many rows: a sum for each part of the
   inputs, from the first input to the last with one rounding each, and the parts are added to the bias in order. */
#include <stdint.h>
#include <string.h>

enum { LANES = 16, AT_ONCE = 8, PANEL = LANES * AT_ONCE };
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* x (rows, depth), weights in panels of (depth, PANEL), bias (panels * PANEL,) or NULL -> out (rows, width). */
void multiply_rows(int64_t rows, int64_t depth, int64_t width, int64_t part, const float *x, const float *weights,
                   const float *bias, float *out)
{
    for (int64_t first = 0; first < width; first += PANEL, weights += depth * PANEL)
        for (int64_t row = 0; row < rows; row++) {
            lanes whole[AT_ONCE];
            for (int i = 0; bias && i < AT_ONCE; i++) whole[i] = *(const lanes *)(bias + first + i * LANES);
            for (int64_t begin = 0; begin < depth; begin += part) {
                lanes sums[AT_ONCE] = {{0}};
                int64_t end = begin + part < depth ? begin + part : depth;
                for (int64_t k = begin; k < end; k++) {
                    const float *w = weights + k * PANEL;
                    lanes input = x[row * depth + k] - (lanes){0};
#pragma GCC unroll 8
                    for (int i = 0; i < AT_ONCE; i++) sums[i] += input * *(const lanes *)(w + i * LANES);
                }
                if (begin || bias)
                    for (int i = 0; i < AT_ONCE; i++) whole[i] += sums[i];
                else
                    memcpy(whole, sums, sizeof whole);
            }
            int64_t count = width - first < PANEL ? width - first : PANEL;
            memcpy(out + row * width + first, whole, count * sizeof(float));
        }
}
