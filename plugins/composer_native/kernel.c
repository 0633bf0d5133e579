/* One step of a cell for a batch of rows, in one thread or several.

   Each sum adds its terms in a fixed order, in one thread, for any number of rows. So a row has the same bits in any
   batch. Weights are stored in panels of 16 outputs. Float weights have 32 bits, or 16 where these are exact. Within a
   panel, the 16 weights of one input are adjacent, and sums are in 32 bits. Int8 weights are in -63..63, and four
   inputs of one output are adjacent. Each input row is quantised to -127..127 by its own scale, and integer sums are
   exact.

   Arguments are validated before any access: sizes that do not fit one another or the scratch memory, and columns
   beyond their tables, are refused. */

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#define MOST_THREADS 64
#else
#define MOST_THREADS 1
#endif
#if (defined(__F16C__) || defined(__AVX2__)) && !defined(PLAIN)
#include <immintrin.h>
#endif

#ifdef __SANITIZE_ADDRESS__ /* in tests: guard the gaps between parts of the scratch memory */
#include <sanitizer/asan_interface.h>
#define GAP 16
#define GUARD(begins, floats) __asan_poison_memory_region(begins, (floats) * sizeof(float))
#define UNGUARD(begins, floats) __asan_unpoison_memory_region(begins, (floats) * sizeof(float))
#else
#define GAP 0
#define GUARD(begins, floats) (void)0
#define UNGUARD(begins, floats) (void)0
#endif

_Static_assert(sizeof(long) == 8, "products of the largest sizes have up to 62 bits");

#define PANEL 16
#define MOST_ROWS 6 /* of a tile: 12 sums, 2 weights and an input fit into 16 registers */
#define GROUP 8 /* inputs multiplied at once; two products are summed in 16 bits: 2 * 255 * 63 < 2^15 */
#define STEPS 127.0f /* the largest number of a row becomes this */
#define ZERO 128 /* code of 0 in a row: the instruction multiplies unsigned by signed bytes */

typedef float floats __attribute__((vector_size(32), aligned(4)));
typedef _Float16 halves __attribute__((vector_size(16), aligned(2)));

enum { FLOAT, HALF, BYTE };

typedef struct {
    const void *weights;       /* panels of (depth, PANEL), or of (depth / 4, PANEL, 4) bytes */
    const float *bias;         /* (width,); if null, the product is added to `sums` */
    const float *scales;       /* (width,) of int8: the scale of each output */
    const int32_t *zero_point; /* (width,) of int8: minus the product of a row of ZERO */
    long width;                /* outputs, a multiple of PANEL; 0: no matrix */
    long depth;                /* inputs; for int8 a multiple of GROUP */
    int kind;                  /* FLOAT, HALF or BYTE */
} Matrix;

typedef struct {
    Matrix from_input, from_state;
    int gates; /* LSTM, GRU, RNN, MINGRU, MINLSTM, or OTHER */
} Layer;

typedef void (*Update)(long layer, long rows, const float *from_input, const float *from_state, const float *before,
                       float *after);

typedef struct {
    const float *embedding; /* (embeddings, embedding_size) the tables of all columns, concatenated */
    const int64_t *offsets; /* (columns,) first row of each table */
    const int64_t *sizes;   /* (columns,) rows of each table: a column of the input is in 0..size-1 */
    long embeddings, columns, embedding_size;
    const Layer *layers;
    long count, hidden, parts;
    Matrix head, head_embedded; /* tokens, then pointers; the second is optional, without bias */
    long outputs;               /* tokens */
    int residual, bytes;        /* bytes: whether any matrix is int8 */
    const int64_t *pointed;     /* (pointers,) columns of tokens */
    long pointers;
    Update update;  /* for gates unknown to the kernel */
    float *scratch; /* see scratch_size */
    long room;      /* its size in floats */
} Model;

enum { OTHER, LSTM, GRU, RNN, MINGRU, MINLSTM };

/* Functions that are inlined and specialised for each set of constant arguments. */
#define FOR_EACH_CASE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 16") /* so that sums stay in registers */

/* Input rows of a matrix: as floats, and quantised. */
typedef struct {
    float *x;
    long stride;
    uint8_t *rounded;
    long rounded_stride;
    float *scales; /* (rows,) */
} Rows;

FOR_EACH_CASE floats load(const void *weights, long at, int half) {
    if (!half)
        return *(const floats *)((const float *)weights + at);
#if defined(__F16C__) && !defined(PLAIN) /* gcc would convert them one by one */
    return (floats)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)((const _Float16 *)weights + at)));
#else
    return __builtin_convertvector(*(const halves *)((const _Float16 *)weights + at), floats);
#endif
}

/* out (panels, `apart`) of (rows, PANEL) += x (rows, depth) times panels of floats. */
FOR_EACH_CASE void tile(int rows, int panels, int half, long depth, const void *weights, const float *x, long stride,
                        float *out, long apart) {
    floats sums[2 * MOST_ROWS], w[8];
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int p = 0; p < 2 * panels; p++)
            sums[2 * panels * r + p] = *(const floats *)(out + p / 2 * apart + r * PANEL + p % 2 * 8);
    for (long k = 0; k < depth; k++) {
        UNROLLED for (int p = 0; p < 2 * panels; p++)
            w[p] = load(weights, p / 2 * PANEL * depth + k * PANEL + p % 2 * 8, half);
        UNROLLED for (int r = 0; r < rows; r++) {
            float number = x[r * stride + k];
            UNROLLED for (int p = 0; p < 2 * panels; p++)
                sums[2 * panels * r + p] += w[p] * number;
        }
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int p = 0; p < 2 * panels; p++)
            *(floats *)(out + p / 2 * apart + r * PANEL + p % 2 * 8) = sums[2 * panels * r + p];
}

/* Integer dot products for 8 * parts outputs: out[r][o] = sum over k of x[r][k] * w[k][o]. */
#if defined(__AVX2__) && !defined(PLAIN)
FOR_EACH_CASE void int8_dot(int rows, int parts, long depth, const int8_t *weights, const uint8_t *x, long stride,
                            int32_t *out) {
    __m256i sums[2 * MOST_ROWS];
    const __m256i ones = _mm256_set1_epi16(1);
    UNROLLED for (int i = 0; i < rows * parts; i++)
        sums[i] = _mm256_setzero_si256();
    for (long k = 0; k < depth; k += GROUP) {
        UNROLLED for (int p = 0; p < parts; p++) {
            const int8_t *from = weights + p / 2 * PANEL * depth + k * PANEL + p % 2 * 32;
            __m256i first = _mm256_loadu_si256((const __m256i *)from);
            __m256i second = _mm256_loadu_si256((const __m256i *)(from + 4 * PANEL));
            UNROLLED for (int r = 0; r < rows; r++) {
                int32_t four[2];
                memcpy(four, x + r * stride + k, 8);
                __m256i one = _mm256_maddubs_epi16(_mm256_set1_epi32(four[0]), first);
                __m256i other = _mm256_maddubs_epi16(_mm256_set1_epi32(four[1]), second);
                __m256i both = _mm256_add_epi32(_mm256_madd_epi16(one, ones), _mm256_madd_epi16(other, ones));
                sums[parts * r + p] = _mm256_add_epi32(sums[parts * r + p], both);
            }
        }
    }
    UNROLLED for (int i = 0; i < rows * parts; i++)
        _mm256_storeu_si256((__m256i *)(out + 8 * i), sums[i]);
}
#else
FOR_EACH_CASE void int8_dot(int rows, int parts, long depth, const int8_t *weights, const uint8_t *x, long stride,
                            int32_t *out) {
    memset(out, 0, rows * parts * 8 * sizeof(int32_t));
    for (long k = 0; k < depth; k++)
        for (int r = 0; r < rows; r++)
            for (int o = 0; o < 8 * parts; o++)
                out[8 * parts * r + o] += (int32_t)x[r * stride + k] *
                                          weights[o / PANEL * PANEL * depth + k / 4 * 4 * PANEL + o % PANEL * 4 + k % 4];
}
#endif

/* The same as `tile`, for int8 weights and outputs from `first` on. */
FOR_EACH_CASE void int8_tile(int rows, int panels, const Matrix *m, long first, const Rows *in, long row, float *out,
                             long apart) {
    int32_t sums[16 * MOST_ROWS];
    int8_dot(rows, 2 * panels, m->depth, (const int8_t *)m->weights + first * m->depth,
               in->rounded + row * in->rounded_stride, in->rounded_stride, sums);
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++)
            for (int o = 0; o < PANEL; o++) {
                long output = first + p * PANEL + o;
                float scale = in->scales[row + r] * m->scales[output];
                out[p * apart + r * PANEL + o] +=
                    (float)(sums[PANEL * (panels * r + p) + o] + m->zero_point[output]) * scale;
            }
}

/* Multiply rows from `row` on by panels from `first` on. */
FOR_EACH_CASE void any_tile(int rows, int panels, int kind, const Matrix *m, long first, const void *weights,
                            const Rows *in, long row, float *out, long apart) {
    if (kind == BYTE)
        int8_tile(rows, panels, m, first, in, row, out + row * PANEL, apart);
    else
        tile(rows, panels, kind == HALF, m->depth, weights, in->x + row * in->stride, in->stride, out + row * PANEL,
             apart);
}

/* Multiply all rows by one panel, so that the panel is loaded once. */
FOR_EACH_CASE void for_all_rows(int kind, const Matrix *m, long first, const void *weights, const Rows *in, long rows,
                                float *out) {
    for (long tiles = (rows + MOST_ROWS - 1) / MOST_ROWS, t = 0; t < tiles; t++) {
        long row = rows * t / tiles;
        switch (rows * (t + 1) / tiles - row) {
        case 1: any_tile(1, 1, kind, m, first, weights, in, row, out, 0); break;
        case 2: any_tile(2, 1, kind, m, first, weights, in, row, out, 0); break;
        case 3: any_tile(3, 1, kind, m, first, weights, in, row, out, 0); break;
        case 4: any_tile(4, 1, kind, m, first, weights, in, row, out, 0); break;
        case 5: any_tile(5, 1, kind, m, first, weights, in, row, out, 0); break;
        case 6: any_tile(6, 1, kind, m, first, weights, in, row, out, 0); break;
        }
    }
}

static void floats_for_all_rows(const Matrix *m, long first, const float *weights, const Rows *in, long rows,
                                float *out) {
    for_all_rows(FLOAT, m, first, weights, in, rows, out);
}

static void bytes_for_all_rows(const Matrix *m, long first, const int8_t *weights, const Rows *in, long rows,
                               float *out) {
    for_all_rows(BYTE, m, first, weights, in, rows, out);
}

/* Compute panels `first` up to `end` of bias + rows times a matrix, as (panels, rows, PANEL). With few rows, several
   panels are computed at once, since a single chain of additions would stall. `panel` is scratch for a float panel. */
FOR_EACH_CASE void product(int kind, const Matrix *m, const Rows *in, long rows, long first, long end, float *panel,
                           float *sums) {
    long size = kind == BYTE ? 1 : kind == HALF ? 2 : 4, panels = rows == 1 ? 4 : rows <= 3 ? 2 : 1, apart = rows * PANEL;
    for (; first < end; first += panels * PANEL) {
        const void *weights = (const char *)m->weights + first * m->depth * size;
        float *out = sums + first * rows;
        panels = first + panels * PANEL > end ? 1 : panels;
        if (m->bias)
            for (long p = 0; p < panels; p++)
                for (long row = 0; row < rows; row++)
                    memcpy(out + p * apart + row * PANEL, m->bias + first + p * PANEL, PANEL * sizeof(float));
        if (panels == 4) {
            any_tile(1, 4, kind, m, first, weights, in, 0, out, apart);
        } else if (panels == 2 && rows == 2) {
            any_tile(2, 2, kind, m, first, weights, in, 0, out, apart);
        } else if (panels == 2) {
            any_tile(3, 2, kind, m, first, weights, in, 0, out, apart);
        } else if (kind == HALF) { /* converted to 32 bits once, and not for each tile */
            for (long i = 0; i < m->depth * PANEL; i += 8)
                *(floats *)(panel + i) = load(weights, i, 1);
            floats_for_all_rows(m, first, panel, in, rows, out);
        } else if (kind == BYTE) {
            bytes_for_all_rows(m, first, weights, in, rows, out);
        } else {
            floats_for_all_rows(m, first, weights, in, rows, out);
        }
    }
}

/* The panels or rows of one thread: the first, and the one after the last. */
typedef struct {
    long first, end;
} Share;

static Share share(long whole, long thread, long threads, long grain) {
    long grains = (whole + grain - 1) / grain, end = grains * (thread + 1) / threads * grain;
    return (Share){grains * thread / threads * grain, end < whole ? end : whole};
}

/* Compute one thread's panels of bias + rows times a matrix, as (panels, rows, PANEL). */
static void affine(const Matrix *m, const Rows *in, long rows, long thread, long threads, float *panel, float *sums) {
    Share part = share(m->width, thread, threads, 4 * PANEL);
    if (m->kind == BYTE)
        product(BYTE, m, in, rows, part.first, part.end, panel, sums);
    else if (m->kind == HALF)
        product(HALF, m, in, rows, part.first, part.end, panel, sums);
    else
        product(FLOAT, m, in, rows, part.first, part.end, panel, sums);
}

/* Copy one row (width,) from the panels of `affine`. */
static void gather(const Matrix *m, const float *sums, long rows, long row, float *to) {
    for (long first = 0; first < m->width; first += PANEL)
        memcpy(to + first, sums + first * rows + row * PANEL, PANEL * sizeof(float));
}

/* Quantise one row: the largest number becomes STEPS. If all are below 1e-30, all become 0. */
static void round_row(const Rows *rows, long row, long size) {
    const float *x = rows->x + row * rows->stride;
    uint8_t *to = rows->rounded + row * rows->rounded_stride;
    int32_t bits = 0; /* non-negative floats sort like their bits */
    for (long i = 0; i < size; i++) {
        int32_t one;
        memcpy(&one, x + i, 4);
        one &= 0x7FFFFFFF;
        bits = one > bits ? one : bits;
    }
    float most;
    memcpy(&most, &bits, 4);
    rows->scales[row] = most < 1e-30f ? 0.0f : most / STEPS;
    float by = most < 1e-30f ? 0.0f : STEPS / most;
    for (long i = 0; i < size; i++) {
        float whole = x[i] * by + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
        int32_t rounded;
        memcpy(&rounded, &whole, 4);
        to[i] = (uint8_t)(rounded - 0x4B400000 + ZERO);
    }
    memset(to + size, ZERO, rows->rounded_stride - size);
}

/* e^x to one or two units in the last place, for |x| < 87. It has no branch, so that loops can be vectorised. */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;
    float whole = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
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
    uint32_t power_bits = (uint32_t)(bits - 0x4B400000 + 127) << 23; /* unsigned, since x may be NaN */
    float scale;
    memcpy(&scale, &power_bits, 4);
    return power * scale;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

static inline float tanh_of(float x) { return 1.0f - 2.0f / (1.0f + exponential(2.0f * x)); }

static void lstm(long n, const float *restrict a, const float *restrict b, const float *restrict cell,
                 float *restrict hidden, float *restrict cell_after) {
    for (long i = 0; i < n; i++) {
        float input = sigmoid(a[i] + b[i]), forget = sigmoid(a[n + i] + b[n + i]);
        float candidate = tanh_of(a[2 * n + i] + b[2 * n + i]), output = sigmoid(a[3 * n + i] + b[3 * n + i]);
        float next = forget * cell[i] + input * candidate;
        cell_after[i] = next;
        hidden[i] = output * tanh_of(next);
    }
}

static void gru(long n, const float *restrict a, const float *restrict b, const float *restrict before,
                float *restrict hidden) {
    for (long i = 0; i < n; i++) {
        float reset = sigmoid(a[i] + b[i]), update = sigmoid(a[n + i] + b[n + i]);
        float candidate = tanh_of(a[2 * n + i] + reset * b[2 * n + i]);
        hidden[i] = candidate + update * (before[i] - candidate);
    }
}

static void rnn(long n, const float *restrict a, const float *restrict b, float *restrict hidden) {
    for (long i = 0; i < n; i++)
        hidden[i] = tanh_of(a[i] + b[i]);
}

/* The activation g of the minimal cells, which is positive. */
static inline float minimal_g(float x) { return x >= 0.0f ? x + 0.5f : sigmoid(x); }

static void mingru(long n, const float *restrict a, const float *restrict before, float *restrict hidden) {
    for (long i = 0; i < n; i++)
        hidden[i] = before[i] + sigmoid(a[i]) * (minimal_g(a[n + i]) - before[i]);
}

static void minlstm(long n, const float *restrict a, const float *restrict before, float *restrict hidden) {
    for (long i = 0; i < n; i++) {
        float forget = 1.0f + exponential(-a[i]), input = 1.0f + exponential(-a[n + i]); /* reciprocals of the gates */
        float candidate = minimal_g(a[2 * n + i]);
        hidden[i] = candidate + input / (input + forget) * (before[i] - candidate);
    }
}

/* Compute (size,) the input of the next layer, for one row: the last output, or the normalised sum of all outputs. */
static void read_layers(const Model *m, long layers, const float *of_row, float *to) {
    if (!m->residual) {
        memcpy(to, of_row + (layers - 1) * m->hidden, m->hidden * sizeof(float));
        return;
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

/* Compute (size,) the sum of the embeddings of one row. */
static void embed(const Model *m, const int64_t *columns, float *to) {
    memset(to, 0, m->embedding_size * sizeof(float));
    for (long column = 0; column < m->columns; column++) {
        const float *from = m->embedding + (m->offsets[column] + columns[column]) * m->embedding_size;
        for (long i = 0; i < m->embedding_size; i++)
            to[i] += from[i];
    }
}

/* The arguments of one `step`, and its parts of the scratch memory. */
typedef struct {
    const Model *m;
    long rows;
    const int64_t *columns;
    const float *before;
    float *after, *logits;
    float *sums;                   /* products of a layer's two matrices, or of the head */
    float *apart;                  /* products row by row: of all rows for `callback_gates`, else a row a thread */
    float *panels;                 /* one float panel a thread */
    Rows seen, embedded, recurred; /* inputs of the matrices */
    long width, depth;             /* the largest */
} Step;

#define ROW_PADDING 16 /* floats between rows: a stride of a power of two would hit few cache sets */

static long pad_to_group(long size) { return (size + GROUP - 1) / GROUP * GROUP; }

static long widest(const Model *m) {
    long most = m->head.width;
    for (long i = 0; i < m->count; i++) {
        long both = m->layers[i].from_input.width + m->layers[i].from_state.width;
        most = both > most ? both : most;
    }
    return most;
}

/* Scratch memory, and the floats taken so far. With a null pointer, floats are only counted. */
typedef struct {
    float *begins;
    long taken;
} Room;

static float *take(Room *room, long count) {
    float *begins = room->begins ? room->begins + room->taken : 0;
    room->taken += count + GAP;
    if (begins && GAP)
        GUARD(begins + count, GAP);
    return begins;
}

static Rows lay_out_rows(const Model *m, long rows, long size, Room *room) {
    Rows made = {.stride = size + ROW_PADDING, .rounded_stride = pad_to_group(size)};
    made.x = take(room, rows * made.stride);
    if (m->bytes) {
        made.scales = take(room, rows);
        made.rounded = (uint8_t *)take(room, rows * made.rounded_stride / 4);
    }
    return made;
}

static Step lay_out_step(const Model *m, long rows, long threads, Room *room) {
    Step s = {.m = m, .rows = rows, .width = widest(m)};
    s.depth = m->hidden > m->embedding_size ? m->hidden : m->embedding_size;
    s.sums = take(room, rows * s.width);
    s.apart = take(room, (rows > threads ? rows : threads) * s.width);
    s.panels = take(room, threads * PANEL * s.depth);
    s.seen = lay_out_rows(m, rows, m->hidden, room);
    s.embedded = lay_out_rows(m, rows, m->embedding_size, room);
    s.recurred = lay_out_rows(m, rows, m->hidden, room);
    return s;
}

#define MOST_WIDTH (1L << 24) /* of a layer, an embedding and the output: their products fit into a long */
#define MOST_LAYERS (1L << 12)
#define MOST_PARTS 16
#define MOST_STEP_ROWS (1L << 18) /* rows of a step */
#define MOST_REQUESTED 64         /* threads; without thread support, one does all */
#define MOST_EMBEDDINGS (1L << 36)

static int between(long least, long value, long most) { return least <= value && value <= most; }

static long pad_to_panel(long width) { return (width + PANEL - 1) / PANEL * PANEL; }

/* Whether a matrix has `width` outputs and `depth` inputs; for a width of 0, whether there is no matrix. */
static int is_matrix_valid(const Model *m, const Matrix *matrix, long width, long depth) {
    if (matrix->width != pad_to_panel(width) || !width)
        return !matrix->width && !width;
    if (matrix->kind == BYTE)
        return m->bytes && matrix->weights && matrix->scales && matrix->zero_point &&
               matrix->depth == pad_to_group(depth);
    return between(FLOAT, matrix->kind, HALF) && matrix->weights && matrix->depth == depth;
}

static int is_layer_valid(const Model *m, long number) {
    static const struct {
        long sums, parts; /* sums a unit */
        int recurrent;    /* whether it has a recurrent matrix */
    } known[] = {
        [LSTM] = {4, 2, 1}, [GRU] = {3, 1, 1}, [RNN] = {1, 1, 1}, [MINGRU] = {2, 1, 0}, [MINLSTM] = {3, 1, 0}};
    const Layer *layer = m->layers + number;
    const Matrix *from_input = &layer->from_input, *from_state = &layer->from_state;
    if (!between(OTHER, layer->gates, MINLSTM) || !from_input->bias || (from_state->width && !from_state->bias))
        return 0;
    long width = from_input->width, state_width = from_state->width ? width : 0;
    if (layer->gates == OTHER) {
        if (!m->update || !between(1, width, 16 * MOST_WIDTH))
            return 0;
    } else {
        width = known[layer->gates].sums * m->hidden;
        state_width = known[layer->gates].recurrent ? width : 0;
        if (m->parts != known[layer->gates].parts)
            return 0;
    }
    return is_matrix_valid(m, from_input, width, number ? m->hidden : m->embedding_size) &&
           is_matrix_valid(m, from_state, state_width, m->hidden);
}

static int are_tables_valid(const Model *m) {
    if (!m->embedding || !m->offsets || !m->sizes || !between(1, m->embeddings, MOST_EMBEDDINGS))
        return 0;
    for (long column = 0; column < m->columns; column++)
        if (!between(0, m->sizes[column], m->embeddings) ||
            !between(0, m->offsets[column], m->embeddings - m->sizes[column]))
            return 0;
    for (long place = 0; place < m->pointers; place++)
        if (!m->pointed || !between(0, m->pointed[place], m->columns - 1) || m->sizes[m->pointed[place]] > m->outputs)
            return 0;
    return 1;
}

static int is_model_valid(const Model *m) {
    if (!between(1, m->columns, MOST_WIDTH) || !between(1, m->embedding_size, MOST_WIDTH) ||
        !between(1, m->hidden, MOST_WIDTH) || !between(1, m->outputs, MOST_WIDTH) ||
        !between(0, m->pointers, MOST_WIDTH) || !between(1, m->count, MOST_LAYERS) ||
        !between(1, m->parts, MOST_PARTS) || !m->layers || !m->head.bias || m->head_embedded.bias ||
        !are_tables_valid(m))
        return 0;
    for (long number = 0; number < m->count; number++)
        if (!is_layer_valid(m, number))
            return 0;
    long width = m->outputs + m->pointers;
    return is_matrix_valid(m, &m->head, width, m->hidden) &&
           is_matrix_valid(m, &m->head_embedded, m->head_embedded.width ? width : 0, m->embedding_size);
}

/* Count the floats of scratch memory of a step. -1 for a model whose sizes do not fit one another, and for too many
   rows or threads. */
long scratch_size(const Model *m, long rows, long threads) {
    if (!is_model_valid(m) || !between(1, rows, MOST_STEP_ROWS) || !between(1, threads, MOST_REQUESTED))
        return -1;
    Room room = {0};
    lay_out_step(m, rows, threads, &room);
    return room.taken;
}

static void layer_gates(const Step *s, long number, long row, float *from_input) {
    const Model *m = s->m;
    const Layer *layer = m->layers + number;
    long at = (row * m->count + number) * m->hidden, part = s->rows * m->count * m->hidden;
    float *from_state = from_input + layer->from_input.width;
    const float *before = s->before + at;
    float *after = s->after + at;
    gather(&layer->from_input, s->sums, s->rows, row, from_input);
    gather(&layer->from_state, s->sums + s->rows * layer->from_input.width, s->rows, row, from_state);
    if (layer->gates == LSTM)
        lstm(m->hidden, from_input, from_state, before + part, after, after + part);
    else if (layer->gates == GRU)
        gru(m->hidden, from_input, from_state, before, after);
    else if (layer->gates == MINGRU)
        mingru(m->hidden, from_input, before, after);
    else if (layer->gates == MINLSTM)
        minlstm(m->hidden, from_input, before, after);
    else
        rnn(m->hidden, from_input, from_state, after);
}

/* Call back for unknown gates of all rows; both products are passed row by row. */
static void callback_gates(const Step *s, long number) {
    const Layer *layer = s->m->layers + number;
    long width = layer->from_input.width, state_width = layer->from_state.width;
    float *from_state = s->apart + s->rows * width;
    for (long row = 0; row < s->rows; row++) {
        gather(&layer->from_input, s->sums, s->rows, row, s->apart + row * width);
        gather(&layer->from_state, s->sums + s->rows * width, s->rows, row, from_state + row * state_width);
    }
    s->m->update(number, s->rows, s->apart, from_state, s->before, s->after);
}

static void barrier_wait(long threads);

/* Prepare one row of the inputs of layer `number`, or of the head. */
static void prepare(const Step *s, long number, long row) {
    const Model *m = s->m;
    long stride = m->count * m->hidden;
    if (number == 0)
        embed(m, s->columns + row * m->columns, s->embedded.x + row * s->embedded.stride);
    else
        read_layers(m, number, s->after + row * stride, s->seen.x + row * s->seen.stride);
    if (m->bytes)
        round_row(number ? &s->seen : &s->embedded, row, number ? m->hidden : m->embedding_size);
    if (number == m->count || !m->layers[number].from_state.width)
        return;
    memcpy(s->recurred.x + row * s->recurred.stride, s->before + row * stride + number * m->hidden,
           m->hidden * sizeof(float));
    if (m->bytes)
        round_row(&s->recurred, row, m->hidden);
}

/* Write the logits of one row: the head's products plus the pointers'. */
static void point(const Step *s, long row, float *out) {
    const Model *m = s->m;
    float *to = s->logits + row * m->outputs;
    gather(&m->head, s->sums, s->rows, row, out);
    memcpy(to, out, m->outputs * sizeof(float));
    for (long place = 0; place < m->pointers; place++) {
        int64_t token = s->columns[row * m->columns + m->pointed[place]];
        if (token)
            to[token] += out[m->outputs + place];
    }
}

/* Run one thread's share of a step: some rows of row-wise work, and some panels of each matrix. */
static void walk(const Step *s, long thread, long threads) {
    const Model *m = s->m;
    long rows = s->rows;
    float *panel = s->panels + thread * PANEL * s->depth, *apart = s->apart + thread * s->width;
    Share own = share(rows, thread, threads, 1);
    for (long number = 0; number < m->count; number++) {
        const Layer *layer = m->layers + number;
        for (long row = own.first; row < own.end; row++)
            prepare(s, number, row);
        barrier_wait(threads);
        affine(&layer->from_input, number ? &s->seen : &s->embedded, rows, thread, threads, panel, s->sums);
        affine(&layer->from_state, &s->recurred, rows, thread, threads, panel,
               s->sums + rows * layer->from_input.width);
        barrier_wait(threads);
        if (layer->gates == OTHER) {
            if (thread == 0)
                callback_gates(s, number);
            barrier_wait(threads);
        } else {
            for (long row = own.first; row < own.end; row++)
                layer_gates(s, number, row, apart);
        }
    }
    for (long row = own.first; row < own.end; row++)
        prepare(s, m->count, row);
    barrier_wait(threads);
    affine(&m->head, &s->seen, rows, thread, threads, panel, s->sums);
    affine(&m->head_embedded, &s->embedded, rows, thread, threads, panel, s->sums);
    barrier_wait(threads);
    for (long row = own.first; row < own.end; row++)
        point(s, row, apart);
}

#if MOST_THREADS > 1
/* Worker threads. The caller is the first of `count`. They run one step at a time. */
static struct {
    pthread_mutex_t taken, lock;
    pthread_cond_t moved;
    pthread_t threads[MOST_THREADS];
    long count;
    atomic_long arrived;
    atomic_ulong phase;
    const Step *step; /* null: the threads exit */
} workers = {.taken = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

#define SPINS 2000 /* tens of microseconds, about the cost of sleeping and waking */

/* Wait until all threads arrive. */
static void barrier_wait(long threads) {
    if (threads == 1)
        return;
    unsigned long phase = atomic_load(&workers.phase);
    if (atomic_fetch_add(&workers.arrived, 1) + 1 == threads) {
        atomic_store(&workers.arrived, 0);
        pthread_mutex_lock(&workers.lock);
        atomic_store(&workers.phase, phase + 1);
        pthread_cond_broadcast(&workers.moved);
        pthread_mutex_unlock(&workers.lock);
        return;
    }
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(&workers.phase, memory_order_acquire) != phase)
            return;
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    }
    pthread_mutex_lock(&workers.lock);
    while (atomic_load(&workers.phase) == phase)
        pthread_cond_wait(&workers.moved, &workers.lock);
    pthread_mutex_unlock(&workers.lock);
}

static void *work(void *number) {
    long threads = workers.count;
    for (;;) {
        barrier_wait(threads);
        if (!workers.step)
            return 0;
        walk(workers.step, (long)number, threads);
        barrier_wait(threads);
    }
}

/* Reset after a fork: only the forking thread exists in the child. */
static void forget_workers(void) {
    workers.count = 0;
    atomic_store(&workers.arrived, 0);
    pthread_mutex_init(&workers.taken, 0);
    pthread_mutex_init(&workers.lock, 0);
    pthread_cond_init(&workers.moved, 0);
}

static void stop_workers(void) {
    if (workers.count) {
        workers.step = 0;
        barrier_wait(workers.count);
        for (long i = 1; i < workers.count; i++)
            pthread_join(workers.threads[i], 0);
    }
    workers.count = 0;
}

/* Start the workers, unless they run already; return whether there are `threads`. They block all signals. */
static int start_workers(long threads) {
    static int registered, refused;
    if (workers.count == threads || refused)
        return !refused;
    stop_workers();
    refused = !registered && pthread_atfork(0, 0, forget_workers);
    registered = 1;
    if (refused)
        return 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    workers.count = threads;
    long started = 1;
    while (started < threads && !pthread_create(&workers.threads[started], 0, work, (void *)started))
        started++;
    pthread_sigmask(SIG_SETMASK, &before, 0);
    refused = started < threads; /* those already started wait forever */
    return !refused;
}
#else
static void barrier_wait(long threads) {}
#endif

enum { DONE, BAD_SIZES, BAD_COLUMN };

/* Run a step in `threads` threads, or in one if the workers are busy with another step. */
static void run(const Step *s, long threads) {
#if MOST_THREADS > 1
    if (threads > 1 && !pthread_mutex_trylock(&workers.taken)) {
        int ready = start_workers(threads);
        if (ready) {
            workers.step = s;
            barrier_wait(threads);
            walk(s, 0, threads);
            barrier_wait(threads);
        }
        pthread_mutex_unlock(&workers.taken);
        if (ready)
            return;
    }
#endif
    walk(s, 0, 1);
}

/* before, after: `parts` arrays of (rows, count, hidden), concatenated. logits: (rows, outputs).
   Return DONE; or do nothing, and return BAD_SIZES if sizes do not fit one another or the scratch memory, BAD_COLUMN
   if a number in `columns` is beyond its table. */
int step(const Model *m, long rows, const int64_t *columns, const float *before, float *after, float *logits,
          long threads) {
    long needed = scratch_size(m, rows, threads);
    if (needed < 0 || needed > m->room || !m->scratch)
        return BAD_SIZES;
    uint64_t beyond = 0;
    for (long row = 0; row < rows; row++)
        for (long column = 0; column < m->columns; column++) {
            uint64_t number = (uint64_t)columns[row * m->columns + column];
            beyond |= number | ((uint64_t)m->sizes[column] - 1 - number); /* has the sign bit if one is negative */
        }
    if (beyond >> 63)
        return BAD_COLUMN;
    UNGUARD(m->scratch, m->room);
    Room room = {.begins = m->scratch};
    Step s = lay_out_step(m, rows, threads, &room);
    s.columns = columns, s.before = before, s.after = after, s.logits = logits;
    run(&s, threads);
    UNGUARD(m->scratch, m->room);
    return DONE;
}
