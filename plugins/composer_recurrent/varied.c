/* One step of an LSTM with norms or with dropped candidates in training, forward or backward, for a batch of rows: all
   but the products. It follows numbers.c.

   Gates are in torch's order. Sums of the input come normalised and with their biases; those of the state are normalised
   here, and so is the cell that the output gate lets through (Ba et al. 2016). Products and their gradients are in 32
   bits or in bf16; states and gates are in 32 bits. */

#define TINY ((number)1e-5) /* added to a variance, as torch does */

typedef struct {
    long rows, places, width;                   /* B, T, H */
    int low;                                    /* whether products and `low_hidden` are in bf16 */
    const number *from_input;                   /* (T, B, 4 H) normalised, with biases */
    const void *from_state;                     /* (B, 4 H) products of this step */
    const number *gain, *cell_gain, *cell_bias; /* (4 H), (H), (H), or null: without norms */
    const number *kept;                         /* (T, B, H) what candidates are multiplied by, or null: 1 */
    number *hidden, *cells;                     /* (T + 1, B, H) states, the first of them before the first place */
    void *low_hidden;                           /* (T + 1, B, H) `hidden` in bf16, or null */
    number *gates;                              /* (T, B, 5 H): i, f, g, o, tanh of what o lets through */
    number *normalised;                         /* (T, B, 5 H): sums of the state, and the cell; or null */
    number *scales;                             /* (T, B, 2) by which the deviations of both were multiplied; or null */
    const number *d_hidden;                     /* (T, B, H) gradient, or null: 0 */
    number *d_state, *d_cell;                   /* (B, H) gradients of the state after this step, then before it */
    const void *d_product;                      /* (B, H) what the step after this adds to `d_state`, or null */
    number *d_from_input;                       /* (T, B, 4 H) */
    void *d_from_state;                         /* (T, B, 4 H) of products, in their precision */
    number *d_gain, *d_cell_gain, *d_cell_bias; /* which are added to */
    number *scratch;                            /* (9 H) */
} Layer;

/* --- norms ------------------------------------------------------------------------------------------------------------ */

/* Normalise `x`, and return what its deviations were multiplied by. */
static number normalise(long n, number *restrict x) {
    number sum = 0, squares = 0;
    _Pragma("omp simd reduction(+ : sum)") for (long i = 0; i < n; i++) sum += x[i];
    number mean = sum / n;
    TOGETHER for (long i = 0; i < n; i++) x[i] -= mean;
    _Pragma("omp simd reduction(+ : squares)") for (long i = 0; i < n; i++) squares += x[i] * x[i];
    number scale = 1 / ROOT(squares / n + TINY);
    TOGETHER for (long i = 0; i < n; i++) x[i] *= scale;
    return scale;
}

/* Add to `d_gain`, and replace the gradient `d` of normalised numbers times their gain by that of the numbers. */
static void normalise_back(long n, const number *restrict normalised, number scale, const number *restrict gain,
                           number *restrict d_gain, number *restrict d) {
    number sum = 0, product = 0;
    TOGETHER for (long i = 0; i < n; i++) d_gain[i] += d[i] * normalised[i];
    TOGETHER for (long i = 0; i < n; i++) d[i] *= gain[i];
    _Pragma("omp simd reduction(+ : sum, product)") for (long i = 0; i < n; i++) {
        sum += d[i];
        product += d[i] * normalised[i];
    }
    number mean = sum / n, along = product / n;
    TOGETHER for (long i = 0; i < n; i++) d[i] = scale * (d[i] - mean - normalised[i] * along);
}

/* --- one row ------------------------------------------------------------------------------------------------------------ */

/* From sums to the cell after the step, keeping gates; `kept` may be null. */
static void run_cell(long n, const number *restrict a, const number *restrict b, const number *restrict kept,
                     const number *restrict cell, number *restrict gates, number *restrict cell_after) {
    TOGETHER for (long i = 0; i < n; i++) {
        number input = sigmoid_of(a[i] + b[i]), forget = sigmoid_of(a[n + i] + b[n + i]);
        number candidate = tanh_of(a[2 * n + i] + b[2 * n + i]);
        gates[i] = input, gates[n + i] = forget, gates[2 * n + i] = candidate;
        gates[3 * n + i] = sigmoid_of(a[3 * n + i] + b[3 * n + i]);
        cell_after[i] = forget * cell[i] + input * (kept ? kept[i] * candidate : candidate);
    }
}

static void run_output(long n, const number *restrict shown, number *restrict gates, number *restrict hidden) {
    TOGETHER for (long i = 0; i < n; i++) {
        gates[4 * n + i] = tanh_of(shown[i]);
        hidden[i] = gates[3 * n + i] * gates[4 * n + i];
    }
}

/* From the gradients of the cell after the step and of the output to those of sums, but for the output gate's. */
static void run_cell_back(long n, const number *restrict gates, const number *restrict kept,
                          const number *restrict cell, number *restrict d_cell, number *restrict d_sums) {
    TOGETHER for (long i = 0; i < n; i++) {
        number input = gates[i], forget = gates[n + i], candidate = gates[2 * n + i], share = kept ? kept[i] : 1;
        d_sums[i] = d_cell[i] * share * candidate * input * (1 - input);
        d_sums[n + i] = d_cell[i] * cell[i] * forget * (1 - forget);
        d_sums[2 * n + i] = d_cell[i] * share * input * (1 - candidate * candidate);
        d_cell[i] *= forget;
    }
}

/* From the gradient `d` of the output to those of the output gate's sum and of what it lets through, which replaces it. */
static void run_output_back(long n, const number *restrict gates, number *restrict d, number *restrict d_sums) {
    TOGETHER for (long i = 0; i < n; i++) {
        number output = gates[3 * n + i], shown = gates[4 * n + i];
        d_sums[3 * n + i] = d[i] * shown * output * (1 - output);
        d[i] *= output * (1 - shown * shown);
    }
}

/* --- a step of all rows ------------------------------------------------------------------------------------------------ */

void run_forward(const Layer *l, long place) {
    long n = l->width;
    number *sums = l->scratch, *shown = sums + 4 * n;
    for (long row = 0; row < l->rows; row++) {
        long at = place * l->rows + row;
        number *cell = l->cells + (at + l->rows) * n, *hidden = l->hidden + (at + l->rows) * n;
        number *gates = l->gates + at * 5 * n, *normalised = l->gain ? l->normalised + at * 5 * n : 0;
        widen(l->low, l->from_state, row * 4 * n, 4 * n, sums);
        if (l->gain) {
            l->scales[2 * at] = normalise(4 * n, sums);
            memcpy(normalised, sums, 4 * n * sizeof(number));
            TOGETHER for (long i = 0; i < 4 * n; i++) sums[i] *= l->gain[i];
        }
        const number *kept = l->kept ? l->kept + at * n : 0;
        run_cell(n, l->from_input + at * 4 * n, sums, kept, l->cells + at * n, gates, cell);
        memcpy(shown, cell, n * sizeof(number));
        if (l->gain) {
            l->scales[2 * at + 1] = normalise(n, shown);
            memcpy(normalised + 4 * n, shown, n * sizeof(number));
            TOGETHER for (long i = 0; i < n; i++) shown[i] = l->cell_gain[i] * shown[i] + l->cell_bias[i];
        }
        run_output(n, shown, gates, hidden);
        if (l->low_hidden)
            narrow(1, hidden, n, l->low_hidden, (at + l->rows) * n);
    }
}

void run_backward(const Layer *l, long place) {
    long n = l->width;
    number *d_sums = l->scratch, *d = d_sums + 4 * n;
    for (long row = 0; row < l->rows; row++) {
        long at = place * l->rows + row;
        number *d_cell = l->d_cell + row * n, *d_state = l->d_state + row * n;
        const number *gates = l->gates + at * 5 * n, *normalised = l->gain ? l->normalised + at * 5 * n : 0;
        memcpy(d, d_state, n * sizeof(number));
        memset(d_state, 0, n * sizeof(number));
        if (l->d_product) {
            widen(l->low, l->d_product, row * n, n, d_sums);
            add(n, d_sums, d);
        }
        if (l->d_hidden)
            add(n, l->d_hidden + at * n, d);
        run_output_back(n, gates, d, d_sums);
        if (l->gain) {
            add(n, d, l->d_cell_bias);
            normalise_back(n, normalised + 4 * n, l->scales[2 * at + 1], l->cell_gain, l->d_cell_gain, d);
        }
        add(n, d, d_cell);
        run_cell_back(n, gates, l->kept ? l->kept + at * n : 0, l->cells + at * n, d_cell, d_sums);
        memcpy(l->d_from_input + at * 4 * n, d_sums, 4 * n * sizeof(number));
        if (l->gain)
            normalise_back(4 * n, normalised, l->scales[2 * at], l->gain, l->d_gain, d_sums);
        narrow(l->low, d_sums, 4 * n, l->d_from_state, at * 4 * n);
    }
}
