/* Matrix products for traced steps. A row's sums run in one order, whatever the rows beside it. */
#include <stdint.h>

#if defined(__AVX512F__)
#include <immintrin.h>
enum { LANES = 16, ROWS = 8, HAS_HALF = 1 };
typedef __m512 Vector;
#define ZERO() _mm512_setzero_ps()
#define SPREAD(x) _mm512_set1_ps(x)
#define LOAD(p) _mm512_loadu_ps(p)
#define LOAD_HALF(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p)))
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
enum { LANES = 8, ROWS = 4, HAS_HALF = 1 };
typedef __m256 Vector;
#define ZERO() _mm256_setzero_ps()
#define SPREAD(x) _mm256_set1_ps(x)
#define LOAD(p) _mm256_loadu_ps(p)
#define LOAD_HALF(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p)))
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#else
enum { LANES = 1, ROWS = 4, HAS_HALF = 0 };
typedef float Vector;
#define ZERO() 0.0f
#define SPREAD(x) (x)
#define LOAD(p) (*(p))
#define LOAD_HALF(p) 0.0f
#define STORE(p, v) (*(p) = (v))
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

enum { PANEL = 2 * LANES };

/* Columns of a panel, and whether weights may have 16 bits. */
int64_t panel_width(void) { return PANEL; }
int64_t takes_half(void) { return HAS_HALF; }

/* Products of `rows` rows x, `stride` apart, of `depth` numbers with `panels` panels (depth, PANEL). */
static inline __attribute__((always_inline)) void multiply_panels(
    const int rows, const int panels, const int half, int64_t depth, const float *x, int64_t stride, const void *weights,
    const float *bias, float *out, int64_t out_stride, int64_t width)
{
    Vector sums[16]; /* in registers, once the loops are unrolled */
#pragma GCC unroll 16
    for (int i = 0; i < rows * panels * 2; i++) sums[i] = ZERO();
    for (int64_t k = 0; k < depth; k++)
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) {
            int64_t at = (p * depth + k) * PANEL;
            const float *single = (const float *)weights + at;
            const uint16_t *halves = (const uint16_t *)weights + at;
            Vector a = half ? LOAD_HALF(halves) : LOAD(single);
            Vector b = half ? LOAD_HALF(halves + LANES) : LOAD(single + LANES);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                Vector value = SPREAD(x[r * stride + k]);
                sums[(r * panels + p) * 2] = MULTIPLY_ADD(value, a, sums[(r * panels + p) * 2]);
                sums[(r * panels + p) * 2 + 1] = MULTIPLY_ADD(value, b, sums[(r * panels + p) * 2 + 1]);
            }
        }
    float wide[PANEL];
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++) {
            STORE(wide, sums[(r * panels + p) * 2]);
            STORE(wide + LANES, sums[(r * panels + p) * 2 + 1]);
            int64_t left = width - p * PANEL, count = left < PANEL ? left : PANEL;
            float *to = out + r * out_stride + p * PANEL;
            for (int64_t j = 0; j < count; j++) to[j] = wide[j] + (bias ? bias[p * PANEL + j] : 0.0f);
        }
}

/* The same for any number of rows: a panel is read once for all of them. */
static inline __attribute__((always_inline)) void multiply_rows(
    const int panels, const int half, int64_t rows, int64_t depth, const float *x, int64_t stride, const void *weights,
    const float *bias, float *out, int64_t out_stride, int64_t width)
{
    for (; rows >= ROWS && panels == 1; rows -= ROWS, x += ROWS * stride, out += ROWS * out_stride)
        multiply_panels(ROWS, 1, half, depth, x, stride, weights, bias, out, out_stride, width);
    for (; rows >= 2; rows -= 2, x += 2 * stride, out += 2 * out_stride)
        multiply_panels(2, panels, half, depth, x, stride, weights, bias, out, out_stride, width);
    if (rows) multiply_panels(1, panels, half, depth, x, stride, weights, bias, out, out_stride, width);
}

/* out (rows, width) = x (rows, depth) times weights, packed in panels of (depth, PANEL), plus bias (width,) or none. */
void multiply(int64_t rows, int64_t depth, int64_t width, const float *x, int64_t stride, const void *weights,
              int half, const float *bias, float *out, int64_t out_stride)
{
    for (int64_t j = 0; j < width;) {
        const char *w = (const char *)weights + j * depth * (half ? 2 : 4);
        const float *b = bias ? bias + j : 0;
        int many = rows < ROWS && width - j > 3 * PANEL; /* few rows leave registers for more columns */
        if (half && many) multiply_rows(4, 1, rows, depth, x, stride, w, b, out + j, out_stride, width - j);
        else if (half) multiply_rows(1, 1, rows, depth, x, stride, w, b, out + j, out_stride, width - j);
        else if (many) multiply_rows(4, 0, rows, depth, x, stride, w, b, out + j, out_stride, width - j);
        else multiply_rows(1, 0, rows, depth, x, stride, w, b, out + j, out_stride, width - j);
        j += (many ? 4 : 1) * PANEL;
    }
}
