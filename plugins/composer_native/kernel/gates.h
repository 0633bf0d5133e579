/* The gates of the cells that are known, of 16 units of one row at once. */

#ifndef GATES_H
#define GATES_H

#include "model.h"
#include "vectors.h"

/* e^x to one or two units in the last place, of x between -most and most <= 87. It has no branch, so that loops can be
   vectorised. */
static inline float exponential(float x, float most) {
    x = x < -most ? -most : x > most ? most : x;
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

#define MOST 87.0f
#define FLAT 30.0f /* so far from 0, a sigmoid or a tanh is level: two of their denominators can be multiplied */

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x, MOST)); }

static inline float tanh_of(float x) { return fuse(-2.0f, 1.0f / (1.0f + exponential(2.0f * x, FLAT)), 1.0f); }

/* sigmoid(gate) * tanh(x), with one division. */
static inline float gated_tanh(float gate, float x) {
    float power = exponential(2.0f * x, FLAT);
    return (power - 1.0f) / ((1.0f + exponential(-gate, MOST)) * (1.0f + power));
}

/* The activation g of the minimal cells, which is positive: a numerator and a denominator. */
static inline float minimal_above(float x) { return x >= 0.0f ? x + 0.5f : 1.0f; }

static inline float minimal_below(float x) {
    float curved = 1.0f + exponential(-x, FLAT);
    return x >= 0.0f ? 1.0f : curved;
}

/* One unit: products of its gates, `apart` floats from one another, and its state. */
FOR_EACH_CASE void unit_of(int gates, const float *a, const float *b, long apart, float state, float cell,
                           float *state_after, float *cell_after) {
    if (gates == LSTM) {
        float forget = sigmoid(a[apart] + b[apart]);
        float next = fuse(forget, cell, gated_tanh(a[0] + b[0], a[2 * apart] + b[2 * apart]));
        *cell_after = next;
        *state_after = gated_tanh(a[3 * apart] + b[3 * apart], next);
    } else if (gates == GRU) {
        float reset = sigmoid(a[0] + b[0]), update = sigmoid(a[apart] + b[apart]);
        float candidate = tanh_of(fuse(reset, b[2 * apart], a[2 * apart]));
        *state_after = fuse(update, state - candidate, candidate);
    } else if (gates == RNN) {
        *state_after = tanh_of(a[0] + b[0]);
    } else if (gates == MINGRU) {
        float below = minimal_below(a[apart]), change = fuse(-state, below, minimal_above(a[apart]));
        *state_after = state + change / (below * (1.0f + exponential(-a[0], MOST)));
    } else {
        float forget = 1.0f + exponential(-a[0], MOST), input = 1.0f + exponential(-a[apart], MOST); /* reciprocals */
        float candidate = minimal_above(a[2 * apart]) / minimal_below(a[2 * apart]);
        *state_after = fuse(input / (input + forget), state - candidate, candidate);
    }
}

/* Compute (PANEL,) units from their products a and b, of which each gate has (rows, PANEL), and their state; `cell` is
   the second part of an LSTM's. */
FOR_EACH_CASE void units_of(int gates, const float *restrict a, const float *restrict b, long apart,
                            const float *restrict state, const float *restrict cell, float *restrict state_after,
                            float *restrict cell_after) {
#pragma GCC ivdep
    for (int i = 0; i < PANEL; i++)
        unit_of(gates, a + i, b + i, apart, state[i], gates == LSTM ? cell[i] : 0.0f, state_after + i, cell_after + i);
}

/* The same for the last `count` units of a layer. */
FOR_EACH_CASE void last_units(int gates, const float *a, const float *b, long apart, const float *state,
                              const float *cell, float *state_after, float *cell_after, long count) {
    float before[2][PANEL] = {{0}}, after[2][PANEL];
    memcpy(before[0], state, count * sizeof(float));
    if (gates == LSTM)
        memcpy(before[1], cell, count * sizeof(float));
    units_of(gates, a, b, apart, before[0], before[1], after[0], after[1]);
    memcpy(state_after, after[0], count * sizeof(float));
    if (gates == LSTM)
        memcpy(cell_after, after[1], count * sizeof(float));
}

/* A state before and after a step: of the first row from the first of some units on. */
typedef struct {
    const float *before;
    float *after;
    long rows, stride, part; /* floats from a row to the next, and from a part of the state to the next */
} States;

/* Compute `count` units of all rows from their products: of each PANEL units, (gates, rows, PANEL). */
FOR_EACH_CASE void gates_of(int gates, const float *a, const float *b, const States *states, long count) {
    const States s = *states;
    const long apart = s.rows * PANEL, part = gates == LSTM ? s.part : 0, sums = known_gates[gates].sums * apart;
    for (long unit = 0; unit < count; unit += PANEL, a += sums, b += sums)
        for (long row = 0; row < s.rows; row++) {
            const float *x = a + row * PANEL, *y = b + row * PANEL, *before = s.before + row * s.stride + unit;
            float *after = s.after + row * s.stride + unit;
            if (count - unit >= PANEL)
                units_of(gates, x, y, apart, before, before + part, after, after + part);
            else
                last_units(gates, x, y, apart, before, before + part, after, after + part, count - unit);
        }
}

static void compute_gates(int gates, const float *a, const float *b, const States *states, long count) {
    switch (gates) {
    case LSTM: gates_of(LSTM, a, b, states, count); break;
    case GRU: gates_of(GRU, a, b, states, count); break;
    case RNN: gates_of(RNN, a, b, states, count); break;
    case MINGRU: gates_of(MINGRU, a, b, states, count); break;
    case MINLSTM: gates_of(MINLSTM, a, b, states, count); break;
    }
}

#endif
