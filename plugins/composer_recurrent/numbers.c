/* Numbers in 32 bits, bf16 and, with -DDOUBLE, 64 bits; the beginning of each C source of a layer in training. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef DOUBLE
typedef double number;
#define ROOT sqrt
#define SIZE fabs
#else
typedef float number;
#define ROOT sqrtf
#define SIZE fabsf
#endif

#define TOGETHER _Pragma("omp simd")

static inline number widen_one(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

/* Round to the nearest bf16, ties to even. */
static inline uint16_t narrow_one(number value) {
    float x = (float)value;
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    return (uint16_t)(x == x ? rounded : 0x7FC0);
}

static void widen(int low, const void *from, long at, long size, number *restrict to) {
    const uint16_t *halves = (const uint16_t *)from + at;
    const number *whole = (const number *)from + at;
    if (low)
        TOGETHER for (long i = 0; i < size; i++) to[i] = widen_one(halves[i]);
    else
        memcpy(to, whole, size * sizeof(number));
}

static void narrow(int low, const number *restrict from, long size, void *to, long at) {
    uint16_t *halves = (uint16_t *)to + at;
    if (low)
        TOGETHER for (long i = 0; i < size; i++) halves[i] = narrow_one(from[i]);
    else
        memcpy((number *)to + at, from, size * sizeof(number));
}

/* e^x for x <= 0, to two units in the last place; 0 where it is below the smallest normal number. */
static inline number exponential(number x) {
#ifdef DOUBLE
    return exp(x);
#else
    float bounded = x < -87.0f ? -87.0f : x;
    float whole = bounded * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    int32_t bits;
    memcpy(&bits, &whole, 4);
    whole -= 12582912.0f;
    float rest = bounded - whole * 0.693359375f + whole * 2.12194440e-4f;
    float power = 1.9875691500e-4f;
    power = power * rest + 1.3981999507e-3f;
    power = power * rest + 8.3334519073e-3f;
    power = power * rest + 4.1665795894e-2f;
    power = power * rest + 1.6666665459e-1f;
    power = power * rest + 5.0000001201e-1f;
    power = power * rest * rest + rest + 1.0f;
    uint32_t power_bits = (uint32_t)(bits - 0x4B400000 + 127) << 23; /* unsigned, since x may be NaN */
    float scale;
    memcpy(&scale, &power_bits, 4);
    return x < -87.0f ? 0.0f : power * scale;
#endif
}

static inline number sigmoid_of(number x) {
    number small = exponential(-SIZE(x)), part = 1 / (1 + small);
    return x >= 0 ? part : small * part;
}

static inline number tanh_of(number x) {
    number small = exponential(-2 * SIZE(x)), size = (1 - small) / (1 + small);
    return x < 0 ? -size : size;
}

static void add(long n, const number *restrict more, number *restrict to) {
    TOGETHER for (long i = 0; i < n; i++) to[i] += more[i];
}
