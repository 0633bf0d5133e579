/* The inputs of a matrix, row by row, in the numbers that it is multiplied with. */

#ifndef ROWS_H
#define ROWS_H

#include "model.h"
#include "vectors.h"

#define AT_ONCE 8 /* vectors of an embedding */
#define SUMS 64   /* of the numbers of a row */
#define STEPS 127.0f /* the largest number of a row of bytes becomes this */
#define ZERO 128     /* code of 0 in a row: the instruction multiplies unsigned by signed bytes */
#define ROUNDING 12582912.0f /* 1.5 * 2^23: added to a float, it rounds it to an integer */

#if LANES == 16 && defined(__AVX512BF16__)
#define BRAIN_BYTES 2 /* of an input; the sums of two products are one instruction */
#else
#define BRAIN_BYTES 4 /* floats, each rounded to a bfloat16 */
#endif

typedef struct {
    char *codes;   /* (rows, stride) floats, bfloat16 or bytes */
    long stride;   /* in bytes */
    float *scales; /* (rows,) of int8 */
    long size;     /* inputs */
    int kind;      /* FLOAT, BRAIN or BYTE */
} Rows;

static long bytes_of_row(long size, int kind) {
    return pad_depth(size, kind) * (kind == BYTE ? 1 : kind == BRAIN ? BRAIN_BYTES : 4);
}

/* Round a row to bytes: the largest number becomes STEPS. If all are below 1e-30, all become 0. */
static void encode_bytes(const Rows *rows, long row, const float *x) {
    uint8_t *to = (uint8_t *)(rows->codes + row * rows->stride);
    int32_t largest = 0; /* non-negative floats sort like their bits */
    for (long i = 0; i < rows->size; i++) {
        int32_t one = bits_of(x[i]) & 0x7FFFFFFF;
        largest = one > largest ? one : largest;
    }
    float most = float_of(largest);
    rows->scales[row] = most < 1e-30f ? 0.0f : most / STEPS;
    float by = most < 1e-30f ? 0.0f : STEPS / most;
    long i = 0;
#if LANES == 16
    for (; i + LANES <= rows->size; i += LANES) {
        bits near = (bits)fuse_lanes(*(const floats *)(x + i), spread(by), spread(ROUNDING)) - 0x4B400000 + ZERO;
        _mm_storeu_si128((__m128i *)(to + i), _mm512_cvtepi32_epi8((__m512i)near));
    }
#endif
    for (; i < rows->size; i++)
        to[i] = (uint8_t)(bits_of(fuse(x[i], by, ROUNDING)) - 0x4B400000 + ZERO);
    memset(to + rows->size, ZERO, pad_depth(rows->size, BYTE) - rows->size);
}

/* The bits of the nearest bfloat16, in the upper half; 0 for less than 2^-40. So no product and no sum is denormal, and
   it does not matter whether an instruction flushes those. */
static inline uint32_t round_to_brain(float number) {
    uint32_t code = bits_of(number), size = code & 0x7FFFFFFF;
    uint32_t near = (code + 0x7FFF + (code >> 16 & 1)) & 0xFFFF0000;
    near = size > 0x7F800000 ? 0x7FC00000 : near;
    return size < 0x2B800000 ? 0 : near;
}

/* Round a row to bfloat16. In a pair, the second half is the first number, since it is multiplied first. */
static void encode_brain(const Rows *rows, long row, const float *x) {
    uint32_t *to = (uint32_t *)(rows->codes + row * rows->stride);
    if (BRAIN_BYTES == 4) {
        for (long i = 0; i < rows->size; i++)
            to[i] = round_to_brain(x[i]);
        if (rows->size % PAIR)
            to[rows->size] = 0;
        return;
    }
    for (long pair = 0; pair < rows->size / PAIR; pair++)
        to[pair] = round_to_brain(x[2 * pair]) | round_to_brain(x[2 * pair + 1]) >> 16;
    if (rows->size % PAIR)
        to[rows->size / PAIR] = round_to_brain(x[rows->size - 1]);
}

static void encode_row(const Rows *rows, long row, const float *x) {
    if (rows->kind == BYTE)
        encode_bytes(rows, row, x);
    else if (rows->kind == BRAIN)
        encode_brain(rows, row, x);
    else
        memcpy(rows->codes + row * rows->stride, x, rows->size * sizeof(float));
}

/* Sum (size,) numbers, in SUMS sums that are added in the end. */
static float sum_of(const float *x, long size) {
    floats parts[SUMS / LANES] = {{0}};
    long i = 0;
    for (; i + SUMS <= size; i += SUMS)
        UNROLLED for (int part = 0; part < SUMS / LANES; part++)
            parts[part] += *(const floats *)(x + i + part * LANES);
    float sums[SUMS];
    memcpy(sums, parts, sizeof sums);
    for (int lane = 0; i + lane < size; lane++)
        sums[lane] += x[i + lane];
    UNROLLED for (int half = SUMS / 2; half; half /= 2)
        UNROLLED for (int lane = 0; lane < half; lane++)
            sums[lane] += sums[lane + half];
    return sums[0];
}

/* Compute (hidden,) the input of layer `layers`, for one row: the output of the layer below, or the normalised sum of
   the outputs of all below. `squares` is scratch. */
static void read_layers(const Model *m, long layers, const float *of_row, float *squares, float *to) {
    if (!m->residual) {
        memcpy(to, of_row + (layers - 1) * m->hidden, m->hidden * sizeof(float));
        return;
    }
    for (long i = 0; i < m->hidden; i++)
        to[i] = layers > 1 ? of_row[i] + of_row[m->hidden + i] : of_row[i];
    for (long layer = 2; layer < layers; layer++)
        for (long i = 0; i < m->hidden; i++)
            to[i] += of_row[layer * m->hidden + i];
    float mean = sum_of(to, m->hidden) / m->hidden;
    for (long i = 0; i < m->hidden; i++) {
        to[i] -= mean;
        squares[i] = to[i] * to[i];
    }
    float scale = 1.0f / __builtin_sqrtf(sum_of(squares, m->hidden) / m->hidden + 1e-5f);
    for (long i = 0; i < m->hidden; i++)
        to[i] *= scale;
}

/* Compute some vectors of the sum of the embeddings of one row, from number `first` on. Of each table, they are added at
   once, so that many reads go on at a time. */
FOR_EACH_CASE void embed_some(int kind, int vectors, const Model *m, const int64_t *columns, long first, float *to) {
    const long stride = round_up(m->embedding_size, PANEL);
    floats sums[AT_ONCE] = {{0}};
    for (long column = 0; column < m->columns; column++) {
        long at = (m->offsets[column] + columns[column]) * stride + first;
        UNROLLED for (int i = 0; i < vectors; i++)
            sums[i] += kind == HALF ? load_half(m->embedding, at + i * LANES)
                                    : *(const floats *)((const float *)m->embedding + at + i * LANES);
    }
    UNROLLED for (int i = 0; i < vectors; i++)
        *(floats *)(to + first + i * LANES) = sums[i];
}

FOR_EACH_CASE void embed_of(int kind, const Model *m, const int64_t *columns, float *to) {
    long first = 0;
    for (; first + AT_ONCE * LANES <= m->embedding_size; first += AT_ONCE * LANES)
        embed_some(kind, AT_ONCE, m, columns, first, to);
    for (; first < m->embedding_size; first += LANES)
        embed_some(kind, 1, m, columns, first, to);
}

/* Compute (embedding_size up to a multiple of PANEL,) the sum of the embeddings of one row. */
static void embed(const Model *m, const int64_t *columns, float *to) {
    if (m->embedding_kind == HALF && READS_HALVES)
        embed_of(HALF, m, columns, to);
    else
        embed_of(FLOAT, m, columns, to);
}

#endif
