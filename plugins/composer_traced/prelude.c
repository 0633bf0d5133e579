/* What every traced step begins with: functions of single numbers, without branches, so that loops become vectors.
 *
 * Compile without contraction of products and sums: a number takes the same operations in a vector and beside one, so
 * that a row has the same bits in any batch.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef void Multiply(int64_t rows, int64_t depth, int64_t width, const float *x, int64_t stride, const void *weights,
                      int half, const float *bias, float *out, int64_t out_stride);

/* exp in single precision (Cody and Waite's reduction, the polynomial of Moshier's Cephes), without a branch. */
static inline float exp_(float x)
{
    float low = x < -87.3f ? -87.3f : x, lifted = low > 88.7f ? 88.7f : low;
    float n = rintf(lifted * 1.44269504088896341f);
    float r = lifted - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    float y = (p * (r * r) + r) + 1.0f;
    int32_t power = (int32_t)n, one = power >> 1;
    union { int32_t bits; float value; } a = {.bits = (one + 127) << 23}, b = {.bits = (power - one + 127) << 23};
    y = y * a.value * b.value;
    y = x < -87.3f ? 0.0f : y;
    return x > 88.7f ? INFINITY : x != x ? x : y;
}
static inline float sigmoid_(float x) { return 1.0f / (1.0f + exp_(-x)); }
static inline float tanh_(float x)
{
    float t = exp_(-2.0f * fabsf(x));
    return x != x ? x : copysignf((1.0f - t) / (1.0f + t), x);
}
static inline float silu_(float x) { return x * sigmoid_(x); }
static inline float softplus_(float x, float beta, float limit)
{
    return x * beta > limit ? x : log1pf(expf(x * beta)) / beta;
}
static inline float gelu_(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)); }
static inline float gelu_tanh_(float x)
{
    return 0.5f * x * (1.0f + tanh_(0.7978845608028654f * (x + 0.044715f * x * x * x)));
}
static inline float max_(float a, float b) { return a > b || a != a ? a : b; }
static inline float min_(float a, float b) { return a < b || a != a ? a : b; }
