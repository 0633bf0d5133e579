/* Vectors of the widest kind that the compiler may use here, and sums that are the same bits in each of them.

   A product is added to a sum with one rounding (fused multiply-add) everywhere. Where no instruction does so, it is
   computed in double precision. So vectors of any width, and plain C, give the same bits. */

#ifndef VECTORS_H
#define VECTORS_H

#include <stdint.h>
#include <string.h>
#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define LANES 16
#elif defined(__AVX2__) && defined(__FMA__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float floats __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t bits __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* Whether weights of 16 bits are read as fast as floats; else there are none. */
#if defined(__F16C__) || defined(__AVX512F__)
#define READS_HALVES 1
#elif defined(__aarch64__)
#define READS_HALVES 1
typedef _Float16 halves __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
#else
#define READS_HALVES 0
#endif

/* Functions that are inlined and specialised for each set of constant arguments, with loops that keep their sums in
   registers; without an instruction for `fuse`, that would be much code for little. */
#if LANES > 4 || defined(__aarch64__)
#define FOR_EACH_CASE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 16")
#else
#define FOR_EACH_CASE static
#define UNROLLED
#endif

static inline uint32_t bits_of(float number) {
    uint32_t found;
    memcpy(&found, &number, 4);
    return found;
}

static inline float float_of(uint32_t number) {
    float found;
    memcpy(&found, &number, 4);
    return found;
}

/* a * b + c with one rounding. */
#if defined(__FMA__) || defined(__FP_FAST_FMAF) || defined(__aarch64__)
#define FUSES 1
static inline float fuse(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
#define FUSES 0
static inline float fuse(float a, float b, float c) {
    double product = (double)a * b, sum = product + c; /* the product is exact */
    double added = sum - product, lost = (product - (sum - added)) + (c - added);
    int64_t odd;
    memcpy(&odd, &sum, 8);
    if ((lost > 0 || lost < 0) && !(odd & 1)) /* round to odd, so that rounding to a float is right */
        odd += (lost > 0) == (sum > 0) ? 1 : -1;
    memcpy(&sum, &odd, 8);
    return (float)sum;
}
#endif

#if LANES == 16
static inline floats spread(float number) { return (floats)_mm512_set1_ps(number); }
static inline floats fuse_lanes(floats a, floats b, floats c) {
    return (floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
#elif LANES == 8
static inline floats spread(float number) { return (floats)_mm256_set1_ps(number); }
static inline floats fuse_lanes(floats a, floats b, floats c) {
    return (floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
#else
static inline floats spread(float number) { return (floats){number, number, number, number}; }
static inline floats fuse_lanes(floats a, floats b, floats c) {
#if defined(__aarch64__)
    return (floats)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    for (int lane = 0; lane < LANES; lane++)
        c[lane] = fuse(a[lane], b[lane], c[lane]);
    return c;
#endif
}
#endif

FOR_EACH_CASE floats load_half(const void *numbers, long at) {
#if LANES == 16
    return (floats)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)((const int16_t *)numbers + at)));
#elif LANES == 8 && READS_HALVES
    return (floats)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)((const int16_t *)numbers + at)));
#elif READS_HALVES
    return __builtin_convertvector(*(const halves *)((const int16_t *)numbers + at), floats);
#else
    return (floats){0};
#endif
}

#endif
