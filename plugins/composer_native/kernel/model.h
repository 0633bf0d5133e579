/* A model as the caller describes it. */

#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

_Static_assert(sizeof(long) == 8, "products of the largest sizes have up to 62 bits");

#define PANEL 16 /* outputs that are adjacent in a matrix, and units whose gates are computed at once */
#define BOTH 32  /* two panels: outputs and units are a multiple of it */
#define PAIR 2   /* inputs of bfloat16 that are adjacent */
#define GROUP 8  /* inputs of int8 multiplied at once; two products are summed in 16 bits: 2 * 255 * 63 < 2^15 */

enum { FLOAT, HALF, BRAIN, BYTE };

typedef struct {
    const void *weights;       /* panels of (depth, PANEL), of (depth / 2, PANEL, 2) bfloat16, of (depth / 4, PANEL, 4) bytes */
    const float *bias;         /* (width,); if null, the product is added to the sums before */
    const float *scales;       /* (width,) of int8: the scale of each output */
    const int32_t *zero_point; /* (width,) of int8: minus the product of a row of ZERO */
    long width;                /* outputs, a multiple of BOTH; 0: no matrix */
    long depth;                /* inputs; a multiple of PAIR for bfloat16, of GROUP for int8 */
    int kind;                  /* FLOAT, HALF, BRAIN or BYTE */
} Matrix;

/* Gates that are known have their panels unit by unit: the first 16 units' of the first gate, of the second... */
typedef struct {
    Matrix from_input, from_state;
    int gates; /* LSTM, GRU, RNN, MINGRU, MINLSTM, or OTHER */
} Layer;

typedef void (*Update)(long layer, long rows, const float *from_input, const float *from_state, const float *before,
                       float *after);

typedef struct {
    const void *embedding;  /* (embeddings, embedding_size up to a multiple of PANEL) the tables of all columns */
    const int64_t *offsets; /* (columns,) first row of each table */
    const int64_t *sizes;   /* (columns,) rows of each table: a column of the input is in 0..size-1 */
    long embeddings, columns, embedding_size;
    const Layer *layers;
    long count, hidden, parts;
    Matrix head, head_embedded; /* tokens, then pointers; the second is optional, without bias */
    long outputs;               /* tokens */
    int residual;
    int kind;                   /* of the inputs of every matrix: FLOAT (also for HALF), BRAIN or BYTE */
    int embedding_kind;         /* FLOAT or HALF */
    const int64_t *pointed;     /* (pointers,) columns of tokens */
    long pointers;
    Update update;  /* for gates unknown to the kernel */
    float *scratch; /* see scratch_size */
    long room;      /* its size in floats */
} Model;

enum { OTHER, LSTM, GRU, RNN, MINGRU, MINLSTM };

static const struct {
    long sums, parts; /* sums a unit, and arrays of its state */
    int recurrent;    /* whether there is a recurrent matrix */
} known_gates[] = {
    [LSTM] = {4, 2, 1}, [GRU] = {3, 1, 1}, [RNN] = {1, 1, 1}, [MINGRU] = {2, 1, 0}, [MINLSTM] = {3, 1, 0}};

static long round_up(long size, long by) { return (size + by - 1) / by * by; }

/* Inputs of a matrix of this kind, with those that are added so that it can be read. */
static long pad_depth(long depth, int kind) {
    return round_up(depth, kind == BYTE ? GROUP : kind == BRAIN ? PAIR : 1);
}

#endif
