/* Products of rows and a matrix. Each sum adds its terms in the order of the inputs, for any number of rows and in
   vectors of any width. So a row has the same bits in any batch and on any processor.

   bfloat16: weights and inputs are rounded, and products are summed as floats. Int8: weights are in -63..63, inputs in
   -127..127 times a scale of their row, and integer sums are exact. */

#ifndef PRODUCTS_H
#define PRODUCTS_H

#include "rows.h"

#define PARTS (PANEL / LANES)                 /* vectors of a panel */
#define MANY_PANELS (LANES == 16 ? 2 : 1)     /* panels multiplied at once, where there are many rows */
#define MOST_ROWS (LANES == 16 ? 8 : 6)       /* rows multiplied at once */
#define MOST_SUMS 24                          /* vectors: more would leave no register for weights and an input */

/* Add the products of LANES outputs' weights and a row's inputs from `k` on: one, or a pair of bfloat16. The instruction
   for pairs adds the second halves' product, then the first halves', each with one rounding. */
FOR_EACH_CASE floats add_products(int kind, const void *weights, long at, const char *x, long k, floats sum) {
    if (kind == HALF)
        return fuse_lanes(load_half(weights, at), spread(((const float *)x)[k]), sum);
    if (kind == FLOAT)
        return fuse_lanes(*(const floats *)((const float *)weights + at), spread(((const float *)x)[k]), sum);
#if BRAIN_BYTES == 2
    __m512i pairs = _mm512_loadu_si512((const int16_t *)weights + at);
    uint32_t inputs;
    memcpy(&inputs, x + 2 * k, 4);
    return (floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)pairs, (__m512bh)_mm512_set1_epi32(inputs));
#else
    bits pairs = *(const bits *)((const int16_t *)weights + at);
    sum = fuse_lanes((floats)(pairs & 0xFFFF0000), spread(((const float *)x)[k]), sum);
    return fuse_lanes((floats)(pairs << 16), spread(((const float *)x)[k + 1]), sum);
#endif
}

/* The bytes of the next panels, some of which each tile has fetched while it multiplies. */
typedef struct {
    const char *from;
    long apiece; /* bytes for each turn of a tile's loop */
} Ahead;

#define FETCHED 64 /* bytes fetched at once */

/* Fetch what is needed next; tiles of fewer rows are over too soon. */
FOR_EACH_CASE void fetch(int rows, int lines, Ahead *ahead) {
    if (rows < MOST_ROWS)
        return;
    for (int line = 0; line < lines; line++)
        __builtin_prefetch(ahead->from + line * FETCHED, 0, 2);
    ahead->from += ahead->apiece;
}

/* out (panels, `apart`) of (rows, PANEL) = bias or out, plus x (rows, depth) times panels from `first` on. */
FOR_EACH_CASE void float_tile(int kind, int rows, int panels, const Matrix *m, long first, const Rows *in, long row,
                              float *out, long apart, Ahead ahead) {
    floats sums[MOST_SUMS];
    const int parts = panels * PARTS, inputs = kind == BRAIN ? PAIR : 1;
    const char *x = in->codes + row * in->stride;
    const char *weights = (const char *)m->weights + first * m->depth * PANEL * (kind == FLOAT ? 4 : 2);
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int p = 0; p < parts; p++)
            sums[parts * r + p] = m->bias ? *(const floats *)(m->bias + first * PANEL + p * LANES)
                                          : *(const floats *)(out + p / PARTS * apart + r * PANEL + p % PARTS * LANES);
    for (long k = 0; k < m->depth; k += inputs) {
        fetch(rows, 1, &ahead);
        UNROLLED for (int r = 0; r < rows; r++)
            UNROLLED for (int p = 0; p < parts; p++)
                sums[parts * r + p] =
                    add_products(kind, weights, p / PARTS * PANEL * m->depth + k * PANEL + p % PARTS * LANES * inputs,
                                 x + r * in->stride, k, sums[parts * r + p]);
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int p = 0; p < parts; p++)
            *(floats *)(out + p / PARTS * apart + r * PANEL + p % PARTS * LANES) = sums[parts * r + p];
}

#if defined(__aarch64__)
#define SIGNED_INPUTS 1 /* less ZERO: sums begin at what the sum of all products with ZERO would be */
#else
#define SIGNED_INPUTS 0
#endif

/* Add the products of LANES outputs' weights and GROUP inputs of a row. */
FOR_EACH_CASE ints add_bytes(const int8_t *weights, const uint8_t *x, ints sum) {
#if LANES >= 8
    int32_t four[2];
    memcpy(four, x, GROUP);
#endif
#if LANES == 16 && defined(__AVX512VNNI__)
    __m512i one = _mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(four[0]), _mm512_loadu_si512(weights));
    return (ints)_mm512_dpbusd_epi32(one, _mm512_set1_epi32(four[1]), _mm512_loadu_si512(weights + 4 * PANEL));
#elif LANES == 16
    const __m512i ones = _mm512_set1_epi16(1);
    __m512i one = _mm512_maddubs_epi16(_mm512_set1_epi32(four[0]), _mm512_loadu_si512(weights));
    __m512i other = _mm512_maddubs_epi16(_mm512_set1_epi32(four[1]), _mm512_loadu_si512(weights + 4 * PANEL));
    return sum + (ints)_mm512_madd_epi16(one, ones) + (ints)_mm512_madd_epi16(other, ones);
#elif LANES == 8
    __m256i first = _mm256_loadu_si256((const __m256i *)weights);
    __m256i second = _mm256_loadu_si256((const __m256i *)(weights + 4 * PANEL));
#if defined(__AVXVNNI__)
    __m256i one = _mm256_dpbusd_avx_epi32((__m256i)sum, _mm256_set1_epi32(four[0]), first);
    return (ints)_mm256_dpbusd_avx_epi32(one, _mm256_set1_epi32(four[1]), second);
#else
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i one = _mm256_maddubs_epi16(_mm256_set1_epi32(four[0]), first);
    __m256i other = _mm256_maddubs_epi16(_mm256_set1_epi32(four[1]), second);
    return sum + (ints)_mm256_madd_epi16(one, ones) + (ints)_mm256_madd_epi16(other, ones);
#endif
#elif defined(__aarch64__)
    for (int k = 0; k < GROUP; k += 4) {
        uint32_t four;
        memcpy(&four, x + k, 4);
        int8x16_t inputs = vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080)), w = vld1q_s8(weights + k * PANEL);
#if defined(__ARM_FEATURE_DOTPROD)
        sum = (ints)vdotq_s32((int32x4_t)sum, w, inputs);
#else
        int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(inputs)), high = vmull_high_s8(w, inputs);
        sum += (ints)vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
#endif
    }
    return sum;
#else
    for (int k = 0; k < GROUP; k++)
        for (int o = 0; o < LANES; o++)
            sum[o] += x[k] * weights[k / 4 * 4 * PANEL + o * 4 + k % 4];
    return sum;
#endif
}

/* The same as `float_tile`, for int8. */
FOR_EACH_CASE void byte_tile(int rows, int panels, const Matrix *m, long first, const Rows *in, long row, float *out,
                             long apart, Ahead ahead) {
    ints sums[MOST_SUMS];
    const int parts = panels * PARTS;
    const uint8_t *x = (const uint8_t *)in->codes + row * in->stride;
    const int8_t *weights = (const int8_t *)m->weights + first * PANEL * m->depth;
    UNROLLED for (int i = 0; i < rows * parts; i++)
        sums[i] = SIGNED_INPUTS ? -*(const ints *)(m->zero_point + first * PANEL + i % parts * LANES) : (ints){0};
    for (long k = 0; k < m->depth; k += GROUP) {
        fetch(rows, 2, &ahead);
        UNROLLED for (int r = 0; r < rows; r++)
            UNROLLED for (int p = 0; p < parts; p++)
                sums[parts * r + p] =
                    add_bytes(weights + p / PARTS * PANEL * m->depth + k * PANEL + p % PARTS * LANES * 4,
                              x + r * in->stride + k, sums[parts * r + p]);
    }
    UNROLLED for (int p = 0; p < parts; p++) {
        long output = first * PANEL + p * LANES;
        floats scales = *(const floats *)(m->scales + output);
        ints zero_point = *(const ints *)(m->zero_point + output);
        UNROLLED for (int r = 0; r < rows; r++) {
            floats *to = (floats *)(out + p / PARTS * apart + r * PANEL + p % PARTS * LANES);
            floats before = m->bias ? *(const floats *)(m->bias + output) : *to;
            floats whole = __builtin_convertvector(sums[parts * r + p] + zero_point, floats);
            *to = fuse_lanes(whole, spread(in->scales[row + r]) * scales, before);
        }
    }
}

FOR_EACH_CASE void tile(int kind, int rows, int panels, const Matrix *m, long first, const Rows *in, long row,
                        float *out, long apart, Ahead ahead) {
    if (kind == BYTE)
        byte_tile(rows, panels, m, first, in, row, out, apart, ahead);
    else
        float_tile(kind, rows, panels, m, first, in, row, out, apart, ahead);
}

/* Multiply all rows by MANY_PANELS panels, which are read once and stay in the cache. */
FOR_EACH_CASE void for_all_rows(int kind, const Matrix *m, long first, const Rows *in, long rows, float *out) {
    const long apart = rows * PANEL, inputs = kind == BYTE ? GROUP : kind == BRAIN ? PAIR : 1;
    const long bytes = m->depth * PANEL * (kind == BYTE ? 1 : kind == FLOAT ? 4 : 2), each = MANY_PANELS * bytes / rows;
    const char *next = (const char *)m->weights + (first + MANY_PANELS) * bytes;
    for (long row = 0, taken; row < rows; row += taken) {
        long left = rows - row;
        float *to = out + row * PANEL;
        Ahead ahead = {next + row * each, MOST_ROWS * each * inputs / m->depth};
        taken = left >= 8 && MOST_ROWS == 8 ? 8 : left >= 6 ? 6 : left >= 4 ? 4 : left;
        if (taken == 8 && MOST_ROWS == 8)
            tile(kind, 8, MANY_PANELS, m, first, in, row, to, apart, ahead);
        else if (taken == 6)
            tile(kind, 6, MANY_PANELS, m, first, in, row, to, apart, ahead);
        else if (taken == 4)
            tile(kind, 4, MANY_PANELS, m, first, in, row, to, apart, ahead);
        else if (taken == 3)
            tile(kind, 3, MANY_PANELS, m, first, in, row, to, apart, ahead);
        else if (taken == 2)
            tile(kind, 2, MANY_PANELS, m, first, in, row, to, apart, ahead);
        else
            tile(kind, 1, MANY_PANELS, m, first, in, row, to, apart, ahead);
    }
}

/* Compute panels `first` up to `end` of a matrix as out (panels, rows, PANEL). With few rows, several panels are
   computed at once, since a single chain of additions would stall. */
FOR_EACH_CASE void product_of(int kind, const Matrix *m, const Rows *in, long rows, long first, long end, float *out) {
    const long apart = rows * PANEL, more = rows == 1 ? 4 * MANY_PANELS : 2 * MANY_PANELS;
    const Ahead none = {0};
    for (; rows <= 3 && first + more <= end; first += more, out += more * apart)
        if (rows == 1)
            tile(kind, 1, 4 * MANY_PANELS, m, first, in, 0, out, apart, none);
        else if (rows == 2)
            tile(kind, 2, 2 * MANY_PANELS, m, first, in, 0, out, apart, none);
        else
            tile(kind, 3, 2 * MANY_PANELS, m, first, in, 0, out, apart, none);
    for (; first < end; first += MANY_PANELS, out += MANY_PANELS * apart)
        for_all_rows(kind, m, first, in, rows, out);
}

static void product(const Matrix *m, const Rows *in, long rows, long first, long end, float *out) {
    if (m->kind == BYTE)
        product_of(BYTE, m, in, rows, first, end, out);
    else if (m->kind == BRAIN)
        product_of(BRAIN, m, in, rows, first, end, out);
    else if (m->kind == HALF && READS_HALVES)
        product_of(HALF, m, in, rows, first, end, out);
    else
        product_of(FLOAT, m, in, rows, first, end, out);
}

#endif
