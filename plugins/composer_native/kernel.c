/* One step of a described cell, for rows side by side; it knows no Python.

   Every sum runs over its terms in one order, whatever the number of rows: a row is the same bits in any batch.
   Weights lie in panels of 16 outputs, all of one input next to one another, as 16-bit floats where that loses
   nothing; sums are in 32 bits. */

#include <stdint.h>
#include <string.h>
#ifdef __F16C__
#include <immintrin.h>
#endif

#define PANEL 16
#define MOST_ROWS 6 /* of a tile: 12 sums, 2 weights and a number are all that 16 registers hold */

typedef float floats __attribute__((vector_size(32), aligned(4)));
typedef _Float16 halves __attribute__((vector_size(16), aligned(2)));

typedef struct {
    const void *weights; /* panels of (depth, PANEL) */
    const float *bias;   /* (width,) */
    long width;          /* outputs, a multiple of PANEL; 0: no matrix at all */
    long depth;          /* inputs */
    int half;            /* whether the weights are 16-bit floats */
} Matrix;

typedef struct {
    Matrix from_input, from_state;
    int gates; /* LSTM, GRU, RNN, or OTHER */
} Layer;

typedef void (*Update)(long layer, long rows, const float *from_input, const float *from_state, const float *before,
                       float *after);

typedef struct {
    const float *embedding; /* the tables of all columns, one after the other */
    const int64_t *offsets; /* (columns,) where each begins, in rows */
    long columns, embedding_size;
    const Layer *layers;
    long count, hidden, parts;
    Matrix head;       /* the outputs, then those of the pointer; a shorter depth sees nothing embedded */
    long outputs;      /* tokens */
    int residual;
    const int64_t *pointed; /* (pointers,) columns of tokens */
    long pointers;
    Update update; /* for gates that are not known here */
    float *scratch; /* see scratch_size */
} Model;

enum { OTHER, LSTM, GRU, RNN };

/* What follows is compiled anew for each constant that it is called with. */
#define FOR_EACH_CASE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 16") /* so that sums stay in registers */

FOR_EACH_CASE floats load(const void *weights, long at, int half) {
    if (!half)
        return *(const floats *)((const float *)weights + at);
#ifdef __F16C__ /* gcc would convert one by one */
    return (floats)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)((const _Float16 *)weights + at)));
#else
    return __builtin_convertvector(*(const halves *)((const _Float16 *)weights + at), floats);
#endif
}

/* out (rows, PANEL * panels) += x (rows, depth) times the panels that begin at `first` of a matrix. */
FOR_EACH_CASE void tile(int rows, int panels, int half, const Matrix *m, long first, const float *x, long stride,
                        float *out) {
    long depth = m->depth, width = m->width;
    const void *weights = m->weights;
    floats sums[2 * MOST_ROWS], w[8];
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int p = 0; p < 2 * panels; p++)
            sums[2 * panels * r + p] = *(const floats *)(out + r * width + first + 8 * p);
    for (long k = 0; k < depth; k++) {
        UNROLLED for (int p = 0; p < 2 * panels; p++)
            w[p] = load(weights, (first + p / 2 * PANEL) * depth + k * PANEL + p % 2 * 8, half);
        UNROLLED for (int r = 0; r < rows; r++) {
            float number = x[r * stride + k];
            UNROLLED for (int p = 0; p < 2 * panels; p++)
                sums[2 * panels * r + p] += w[p] * number;
        }
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int p = 0; p < 2 * panels; p++)
            *(floats *)(out + r * width + first + 8 * p) = sums[2 * panels * r + p];
}

/* The same for the whole matrix; several panels at a time where rows are few, or a sum would wait for itself. */
FOR_EACH_CASE void strip(int rows, int panels, int half, const Matrix *m, const float *x, long stride, float *out) {
    long first = 0;
    for (; first + panels * PANEL <= m->width; first += panels * PANEL)
        tile(rows, panels, half, m, first, x, stride, out);
    for (; first < m->width; first += PANEL)
        tile(rows, 1, half, m, first, x, stride, out);
}

/* out (rows, width) += x (rows, depth) times a matrix. */
FOR_EACH_CASE void product(int half, const Matrix *m, long rows, const float *x, long stride, float *out) {
    long whole = rows / MOST_ROWS * MOST_ROWS;
    for (long first = 0; first < m->width && whole; first += PANEL)
        for (long row = 0; row < whole; row += MOST_ROWS)
            tile(MOST_ROWS, 1, half, m, first, x + row * stride, stride, out + row * m->width);
    x += whole * stride, out += whole * m->width;
    switch (rows - whole) {
    case 1: strip(1, 4, half, m, x, stride, out); break;
    case 2: strip(2, 2, half, m, x, stride, out); break;
    case 3: strip(3, 2, half, m, x, stride, out); break;
    case 4: strip(4, 1, half, m, x, stride, out); break;
    case 5: strip(5, 1, half, m, x, stride, out); break;
    }
}

static void affine(const Matrix *m, long rows, const float *x, long stride, float *out) {
    for (long row = 0; row < rows; row++)
        memcpy(out + row * m->width, m->bias, m->width * sizeof(float));
    if (m->half)
        product(1, m, rows, x, stride, out);
    else
        product(0, m, rows, x, stride, out);
}

/* e^x to the last bit or two, for |x| below 87; without a branch, so that it is computed for eight at a time. */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;
    float whole = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to a whole number */
    int32_t bits;
    memcpy(&bits, &whole, 4);
    whole -= 12582912.0f;
    float rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    float power = 1.9875691500e-4f;
    power = power * rest + 1.3981999507e-3f;
    power = power * rest + 8.3334519073e-3f;
    power = power * rest + 4.1665795894e-2f;
    power = power * rest + 1.6666665459e-1f;
    power = power * rest + 5.0000001201e-1f;
    power = power * rest * rest + rest + 1.0f;
    bits = (bits - 0x4B400000 + 127) << 23;
    float scale;
    memcpy(&scale, &bits, 4);
    return power * scale;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

static inline float hyperbolic(float x) { return 1.0f - 2.0f / (1.0f + exponential(2.0f * x)); }

static void lstm(long n, const float *restrict a, const float *restrict b, const float *restrict cell,
                 float *restrict hidden, float *restrict cell_after) {
    for (long i = 0; i < n; i++) {
        float taken = sigmoid(a[i] + b[i]), kept = sigmoid(a[n + i] + b[n + i]);
        float candidate = hyperbolic(a[2 * n + i] + b[2 * n + i]), shown = sigmoid(a[3 * n + i] + b[3 * n + i]);
        float next = kept * cell[i] + taken * candidate;
        cell_after[i] = next;
        hidden[i] = shown * hyperbolic(next);
    }
}

static void gru(long n, const float *restrict a, const float *restrict b, const float *restrict before,
                float *restrict hidden) {
    for (long i = 0; i < n; i++) {
        float reset = sigmoid(a[i] + b[i]), kept = sigmoid(a[n + i] + b[n + i]);
        float candidate = hyperbolic(a[2 * n + i] + reset * b[2 * n + i]);
        hidden[i] = candidate + kept * (before[i] - candidate);
    }
}

static void rnn(long n, const float *restrict a, const float *restrict b, float *restrict hidden) {
    for (long i = 0; i < n; i++)
        hidden[i] = hyperbolic(a[i] + b[i]);
}

/* (rows, size) what is read of the layers so far: the last one's output, or the sum of all, normalised. */
static void read_layers(const Model *m, long rows, long layers, const float *after, long stride, float *out,
                        long out_stride) {
    for (long row = 0; row < rows; row++) {
        const float *of_row = after + row * stride;
        float *to = out + row * out_stride;
        if (!m->residual) {
            memcpy(to, of_row + (layers - 1) * m->hidden, m->hidden * sizeof(float));
            continue;
        }
        float mean = 0, variance = 0;
        for (long i = 0; i < m->hidden; i++) {
            to[i] = of_row[i];
            for (long layer = 1; layer < layers; layer++)
                to[i] += of_row[layer * m->hidden + i];
            mean += to[i];
        }
        mean /= m->hidden;
        for (long i = 0; i < m->hidden; i++)
            variance += (to[i] - mean) * (to[i] - mean);
        float scale = 1.0f / __builtin_sqrtf(variance / m->hidden + 1e-5f);
        for (long i = 0; i < m->hidden; i++)
            to[i] = (to[i] - mean) * scale;
    }
}

/* Floats that a step needs for each row beside its state: what is read, embedded, and made of these. */
long scratch_size(const Model *m) {
    long most = m->head.width;
    for (long i = 0; i < m->count; i++) {
        long both = m->layers[i].from_input.width + m->layers[i].from_state.width;
        most = both > most ? both : most;
    }
    return m->hidden + m->embedding_size + most;
}

/* before, after: `parts` arrays of (rows, count, hidden), one after the other. logits: (rows, outputs). */
void step(const Model *m, long rows, const int64_t *columns, const float *before, float *after, float *logits) {
    long seen_size = m->hidden + m->embedding_size, stride = m->count * m->hidden, part = rows * stride;
    float *seen = m->scratch, *embedded = seen + m->hidden; /* a row: what is read, then what is embedded */
    float *sums = seen + rows * seen_size;
    for (long row = 0; row < rows; row++) {
        float *to = embedded + row * seen_size;
        memset(to, 0, m->embedding_size * sizeof(float));
        for (long column = 0; column < m->columns; column++) {
            const float *from =
                m->embedding + (m->offsets[column] + columns[row * m->columns + column]) * m->embedding_size;
            for (long i = 0; i < m->embedding_size; i++)
                to[i] += from[i];
        }
    }
    for (long number = 0; number < m->count; number++) {
        const Layer *layer = m->layers + number;
        const float *own = before + number * m->hidden;
        float *next = after + number * m->hidden, *from_input = sums, *from_state;
        if (number == 0) {
            affine(&layer->from_input, rows, embedded, seen_size, from_input);
        } else {
            read_layers(m, rows, number, after, stride, seen, seen_size);
            affine(&layer->from_input, rows, seen, seen_size, from_input);
        }
        from_state = from_input + rows * layer->from_input.width;
        if (layer->from_state.width)
            affine(&layer->from_state, rows, own, stride, from_state);
        if (layer->gates == OTHER)
            m->update(number, rows, from_input, from_state, before, after);
        else
            for (long row = 0; row < rows; row++) {
                const float *a = from_input + row * layer->from_input.width;
                const float *b = from_state + row * layer->from_state.width;
                long at = row * stride;
                if (layer->gates == LSTM)
                    lstm(m->hidden, a, b, own + part + at, next + at, next + part + at);
                else if (layer->gates == GRU)
                    gru(m->hidden, a, b, own + at, next + at);
                else
                    rnn(m->hidden, a, b, next + at);
            }
    }
    read_layers(m, rows, m->count, after, stride, seen, seen_size);
    affine(&m->head, rows, seen, seen_size, sums);
    for (long row = 0; row < rows; row++) {
        const float *out = sums + row * m->head.width;
        float *to = logits + row * m->outputs;
        memcpy(to, out, m->outputs * sizeof(float));
        for (long place = 0; place < m->pointers; place++) {
            int64_t token = columns[row * m->columns + m->pointed[place]];
            if (token)
                to[token] += out[m->outputs + place];
        }
    }
}
