/* The gates of the cells that are known, of 16 units of one row at once. */

#ifndef GATES_H
#define GATES_H

#include "model.h"
#include "vectors.h"

/* e^x to one or two units in the last place, for |x| < 87. It has no branch, so that loops can be vectorised. */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;
    float whole = fuse(x, 1.44269504f, 12582912.0f); /* 1.5 * 2^23: rounds to an integer */
    uint32_t power_bits = (bits_of(whole) - 0x4B400000 + 127) << 23;
    whole -= 12582912.0f;
    float rest = fuse(whole, 2.12194440e-4f, fuse(whole, -0.693359375f, x));
    float power = fuse(1.9875691500e-4f, rest, 1.3981999507e-3f);
    power = fuse(power, rest, 8.3334519073e-3f);
    power = fuse(power, rest, 4.1665795894e-2f);
    power = fuse(power, rest, 1.6666665459e-1f);
    power = fuse(power, rest, 5.0000001201e-1f);
    power = fuse(power * rest, rest, rest) + 1.0f;
    return power * float_of(power_bits);
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

static inline float tanh_of(float x) { return fuse(-2.0f, 1.0f / (1.0f + exponential(2.0f * x)), 1.0f); }

/* The activation g of the minimal cells, which is positive. */
static inline float minimal_g(float x) {
    float curved = sigmoid(x);
    return x >= 0.0f ? x + 0.5f : curved;
}

/* One unit: products of its gates, `apart` floats from one another, and its state. */
FOR_EACH_CASE void unit_of(int gates, const float *a, const float *b, long apart, float state, float cell,
                           float *state_after, float *cell_after) {
    if (gates == LSTM) {
        float input = sigmoid(a[0] + b[0]), forget = sigmoid(a[apart] + b[apart]);
        float candidate = tanh_of(a[2 * apart] + b[2 * apart]), output = sigmoid(a[3 * apart] + b[3 * apart]);
        float next = fuse(forget, cell, input * candidate);
        *cell_after = next;
        *state_after = output * tanh_of(next);
    } else if (gates == GRU) {
        float reset = sigmoid(a[0] + b[0]), update = sigmoid(a[apart] + b[apart]);
        float candidate = tanh_of(fuse(reset, b[2 * apart], a[2 * apart]));
        *state_after = fuse(update, state - candidate, candidate);
    } else if (gates == RNN) {
        *state_after = tanh_of(a[0] + b[0]);
    } else if (gates == MINGRU) {
        *state_after = fuse(sigmoid(a[0]), minimal_g(a[apart]) - state, state);
    } else {
        float forget = 1.0f + exponential(-a[0]), input = 1.0f + exponential(-a[apart]); /* reciprocals of the gates */
        float candidate = minimal_g(a[2 * apart]);
        *state_after = fuse(input / (input + forget), state - candidate, candidate);
    }
}

/* A row's state before and after a step, from the first of some units on; `cell` is the second part of an LSTM's. */
typedef struct {
    const float *state, *cell;
    float *state_after, *cell_after;
} Units;

/* Compute (PANEL,) units from their products a and b, of which each gate has (rows, PANEL). */
FOR_EACH_CASE void units_of(int gates, const float *restrict a, const float *restrict b, long apart,
                            const float *restrict state, const float *restrict cell, float *restrict state_after,
                            float *restrict cell_after) {
#pragma GCC ivdep
    for (int i = 0; i < PANEL; i++)
        unit_of(gates, a + i, b + i, apart, state[i], gates == LSTM ? cell[i] : 0.0f, state_after + i, cell_after + i);
}

/* The same for the last units of a layer, of which there are fewer. */
FOR_EACH_CASE void last_units(int gates, const float *a, const float *b, long apart, const Units *units, long count) {
    float before[2][PANEL] = {{0}}, after[2][PANEL];
    memcpy(before[0], units->state, count * sizeof(float));
    if (gates == LSTM)
        memcpy(before[1], units->cell, count * sizeof(float));
    units_of(gates, a, b, apart, before[0], before[1], after[0], after[1]);
    memcpy(units->state_after, after[0], count * sizeof(float));
    if (gates == LSTM)
        memcpy(units->cell_after, after[1], count * sizeof(float));
}

/* Compute up to PANEL units of one row. */
static void compute_gates(int gates, const float *a, const float *b, long apart, const Units *units, long count) {
#define CASE(kind)                                                                                                     \
    case kind:                                                                                                         \
        if (count >= PANEL)                                                                                            \
            units_of(kind, a, b, apart, units->state, units->cell, units->state_after, units->cell_after);             \
        else                                                                                                           \
            last_units(kind, a, b, apart, units, count);                                                               \
        break;
    switch (gates) {
        CASE(LSTM)
        CASE(GRU)
        CASE(RNN)
        CASE(MINGRU)
        CASE(MINLSTM)
    }
#undef CASE
}

#endif
