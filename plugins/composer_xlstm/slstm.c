/* The steps of an sLSTM of all heads in training, forward and backward, products included. It follows numbers.c.

   A head's sums are four parts of N: input, forget, candidate, output. Cell c and normaliser n are kept divided by e^m.
   Products are of a few rows and a small matrix, which stays in the processor's cache: columns in blocks of two vectors,
   rows by fours. */

#if defined __AVX512F__
#define BYTES 64
#elif defined __AVX__
#define BYTES 32
#else
#define BYTES 16
#endif

typedef number lanes __attribute__((vector_size(BYTES), aligned(sizeof(number)), may_alias));

enum { LANES = BYTES / sizeof(number), BLOCK = 2 * LANES, FOUR = 4 };

#define LEAST ((number)1e-30) /* the least divisor */

typedef struct {
    long rows, places, heads, width;           /* B, T, heads, N */
    const number *sums;                        /* (B, T, heads, 4 N) of the input, with biases */
    const number *matrix;                      /* (heads, N, 4 N), in the gradient (heads, 4 N, N); columns filled up */
    number *hidden, *cell, *normaliser, *most; /* (B, T + 1, heads, N) states, the first of them before the first step */
    number *gates;                             /* (B, T, heads, 5 N): i, f, tanh z, o, how far f is shut */
    const number *d_hidden;                    /* (B, T, heads, N) */
    number *d_state, *d_cell, *d_normaliser;   /* (B, heads, N) of the last h, c and n; replaced by those of the first */
    number *d_sums;                            /* (B, T, heads, 4 N) */
    number *scratch;                           /* of the size of `count_scratch`, zeros at first */
} Layer;

long widen_columns(long columns) { return (columns + BLOCK - 1) / BLOCK * BLOCK; }

static long count_from(const Layer *l) { return (l->rows + FOUR) * 4 * l->width; }

long count_scratch(const Layer *l) { return count_from(l) + (l->rows + FOUR) * widen_columns(4 * l->width); }

/* Products of four rows of `from` and a block of columns of the matrix (inner, columns). */
static inline void multiply_block(long inner, long columns, const number *from, const number *matrix, number *to) {
    lanes sums[FOUR][2] = {{{0}}};
    for (long i = 0; i < inner; i++) {
        const lanes *row = (const lanes *)(matrix + i * columns);
        for (int r = 0; r < FOUR; r++) {
            number x = from[r * inner + i];
            sums[r][0] += x * row[0], sums[r][1] += x * row[1];
        }
    }
    for (int r = 0; r < FOUR; r++) memcpy(to + r * columns, sums[r], sizeof sums[r]);
}

/* (rows, inner) times (inner, columns); there is room for four rows more. */
static void multiply(long rows, long inner, long columns, const number *from, const number *matrix, number *to) {
    for (long row = 0; row < rows; row += FOUR)
        for (long column = 0; column < columns; column += BLOCK)
            multiply_block(inner, columns, from + row * inner, matrix + column, to + row * columns + column);
}

/* log(1 + x) for x from 0 to 1, by the series of the inverse hyperbolic tangent. */
static inline number log_of_more(number x) {
#ifdef DOUBLE
    return log1p(x);
#else
    float s = x / (2 + x), square = s * s, sum = 1.0f / 15;
    sum = sum * square + 1.0f / 13;
    sum = sum * square + 1.0f / 11;
    sum = sum * square + 1.0f / 9;
    sum = sum * square + 1.0f / 7;
    sum = sum * square + 1.0f / 5;
    sum = sum * square + 1.0f / 3;
    return 2 * (sum * square * s + s);
#endif
}

typedef struct {
    number *hidden, *cell, *normaliser, *most;
} State;

static State find_state(const Layer *l, long row, long place, long head) {
    long at = ((row * (l->places + 1) + place) * l->heads + head) * l->width;
    return (State){l->hidden + at, l->cell + at, l->normaliser + at, l->most + at};
}

static long find_place(const Layer *l, long row, long place, long head) {
    return (row * l->places + place) * l->heads + head;
}

static void step(long n, const number *restrict sums, const number *restrict from_state, State before, State after,
                 number *restrict gates) {
    const number *restrict cell = before.cell, *restrict normaliser = before.normaliser, *restrict most = before.most;
    number *restrict hidden_after = after.hidden, *restrict cell_after = after.cell;
    number *restrict normaliser_after = after.normaliser, *restrict most_after = after.most;
    TOGETHER for (long i = 0; i < n; i++) {
        number input = sums[i] + from_state[i], forget = sums[n + i] + from_state[n + i];
        number candidate = tanh_of(sums[2 * n + i] + from_state[2 * n + i]);
        number output = sigmoid_of(sums[3 * n + i] + from_state[3 * n + i]);
        number small = exponential(-SIZE(forget)), part = 1 / (1 + small);
        number kept = (forget < 0 ? forget : 0) - log_of_more(small) + most[i], m = kept > input ? kept : input;
        number in_gate = exponential(input - m), forget_gate = exponential(kept - m);
        number c = forget_gate * cell[i] + in_gate * candidate, total = forget_gate * normaliser[i] + in_gate;
        gates[i] = in_gate, gates[n + i] = forget_gate, gates[2 * n + i] = candidate, gates[3 * n + i] = output;
        gates[4 * n + i] = forget >= 0 ? small * part : part;
        cell_after[i] = c, normaliser_after[i] = total, most_after[i] = m;
        hidden_after[i] = output * c / (total < LEAST ? LEAST : total);
    }
}

/* From the gradients of h, c and n after a step to those of its sums, and of c and n before it. */
static void step_back(long n, const number *restrict gates, State before, State after, const number *restrict d,
                      number *restrict d_cell, number *restrict d_normaliser, number *restrict d_sums) {
    const number *restrict cell = before.cell, *restrict normaliser = before.normaliser;
    const number *restrict cell_after = after.cell, *restrict normaliser_after = after.normaliser;
    TOGETHER for (long i = 0; i < n; i++) {
        number in_gate = gates[i], kept = gates[n + i], candidate = gates[2 * n + i], output = gates[3 * n + i];
        number total = normaliser_after[i], part = 1 / (total < LEAST ? LEAST : total), ratio = cell_after[i] * part;
        number d_c = d_cell[i] + d[i] * output * part;
        number d_n = d_normaliser[i] - (total < LEAST ? 0 : d[i] * output * ratio * part);
        d_sums[i] = (d_c * candidate + d_n) * in_gate;
        d_sums[n + i] = (d_c * cell[i] + d_n * normaliser[i]) * kept * gates[4 * n + i];
        d_sums[2 * n + i] = d_c * in_gate * (1 - candidate * candidate);
        d_sums[3 * n + i] = d[i] * ratio * output * (1 - output);
        d_cell[i] = d_c * kept, d_normaliser[i] = d_n * kept;
    }
}

static void run_head(const Layer *l, long head) {
    long n = l->width, columns = widen_columns(4 * n);
    number *from = l->scratch, *products = from + count_from(l);
    const number *matrix = l->matrix + head * n * columns;
    for (long place = 0; place < l->places; place++) {
        for (long row = 0; row < l->rows; row++)
            memcpy(from + row * n, find_state(l, row, place, head).hidden, n * sizeof(number));
        multiply(l->rows, n, columns, from, matrix, products);
        for (long row = 0; row < l->rows; row++) {
            long at = find_place(l, row, place, head) * n;
            State before = find_state(l, row, place, head), after = find_state(l, row, place + 1, head);
            step(n, l->sums + 4 * at, products + row * columns, before, after, l->gates + 5 * at);
        }
    }
}

static void run_head_back(const Layer *l, long head) {
    long n = l->width, columns = widen_columns(n);
    number *from = l->scratch, *products = from + count_from(l);
    const number *matrix = l->matrix + head * 4 * n * columns;
    for (long place = l->places - 1; place >= 0; place--) {
        for (long row = 0; row < l->rows; row++) {
            long at = find_place(l, row, place, head) * n, state = (row * l->heads + head) * n;
            State before = find_state(l, row, place, head), after = find_state(l, row, place + 1, head);
            number *d = l->d_state + state;
            add(n, l->d_hidden + at, d);
            step_back(n, l->gates + 5 * at, before, after, d, l->d_cell + state, l->d_normaliser + state,
                      l->d_sums + 4 * at);
            memcpy(from + row * 4 * n, l->d_sums + 4 * at, 4 * n * sizeof(number));
        }
        multiply(l->rows, 4 * n, columns, from, matrix, products);
        for (long row = 0; row < l->rows; row++)
            memcpy(l->d_state + (row * l->heads + head) * n, products + row * columns, n * sizeof(number));
    }
}

void run_forward(const Layer *l) {
    for (long head = 0; head < l->heads; head++) run_head(l, head);
}

void run_backward(const Layer *l) {
    for (long head = 0; head < l->heads; head++) run_head_back(l, head);
}
