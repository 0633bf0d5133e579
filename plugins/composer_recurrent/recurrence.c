/* One step of a recurrent layer in training, forward or backward: all but the products, for a batch of rows.

   Gates are in torch's order, and the GRU resets after the product. Products and their gradients are in 32 bits or in
   bf16; states and gates are in 32 bits. It follows numbers.c. */

enum { RNN = 1, GRU = 3, LSTM = 4 }; /* a kind is the number of its sums of a unit */

typedef struct {
    long rows, places, width, kind; /* B, T, H */
    int low;                        /* whether products and `low_hidden` are in bf16 */
    const void *from_input;         /* (T, B, kind * H) products without bias */
    const void *from_state;         /* (B, kind * H) likewise, of this step */
    const number *bias, *state_bias;
    number *hidden, *cells;         /* (T + 1, B, H) states, the first of them before the first place; cells: of LSTM */
    void *low_hidden;               /* (T + 1, B, H) `hidden` in bf16, or null */
    number *gates;                  /* (T, B, (kind + 1) * H); of LSTM the last is tanh of the cell, of GRU U_n h + d_n */
    const number *d_hidden;         /* (T, B, H) gradient, or null: 0 */
    number *d_state, *d_cell;       /* (B, H) gradients of the state after this step; replaced by those before it */
    const void *d_product;          /* (B, H) what the step after this adds to `d_state`, or null */
    void *d_from_input;             /* (T, B, kind * H) */
    void *d_from_state;             /* likewise, or null: the same */
    number *d_bias, *d_state_bias;  /* (kind * H), which are added to */
    number *scratch;                /* (3 * kind * H) */
} Layer;

/* --- forward: from sums to states, keeping gates --------------------------------------------------------------------- */

static void run_rnn(long n, const number *restrict a, const number *restrict b, number *restrict hidden) {
    TOGETHER for (long i = 0; i < n; i++) hidden[i] = tanh_of(a[i] + b[i]);
}

static void run_gru(long n, const number *restrict a, const number *restrict b, const number *restrict before,
                    number *restrict gates, number *restrict hidden) {
    TOGETHER for (long i = 0; i < n; i++) {
        number reset = sigmoid_of(a[i] + b[i]), update = sigmoid_of(a[n + i] + b[n + i]);
        number candidate = tanh_of(a[2 * n + i] + reset * b[2 * n + i]);
        gates[i] = reset, gates[n + i] = update, gates[2 * n + i] = candidate, gates[3 * n + i] = b[2 * n + i];
        hidden[i] = candidate + update * (before[i] - candidate);
    }
}

static void run_lstm(long n, const number *restrict a, const number *restrict b, const number *restrict cell,
                     number *restrict gates, number *restrict hidden, number *restrict cell_after) {
    TOGETHER for (long i = 0; i < n; i++) {
        number input = sigmoid_of(a[i] + b[i]), forget = sigmoid_of(a[n + i] + b[n + i]);
        number candidate = tanh_of(a[2 * n + i] + b[2 * n + i]), output = sigmoid_of(a[3 * n + i] + b[3 * n + i]);
        number after = forget * cell[i] + input * candidate, shown = tanh_of(after);
        gates[i] = input, gates[n + i] = forget, gates[2 * n + i] = candidate, gates[3 * n + i] = output;
        gates[4 * n + i] = shown, cell_after[i] = after, hidden[i] = output * shown;
    }
}

/* --- backward: from the gradient `d` of the state after a step to that of its sums, and in its place of the state
   before, but for the product -------------------------------------------------------------------------------------- */

static void run_rnn_back(long n, const number *restrict hidden, number *restrict d, number *restrict d_a) {
    TOGETHER for (long i = 0; i < n; i++) {
        d_a[i] = d[i] * (1 - hidden[i] * hidden[i]);
        d[i] = 0;
    }
}

static void run_gru_back(long n, const number *restrict gates, const number *restrict before, number *restrict d,
                         number *restrict d_a, number *restrict d_b) {
    TOGETHER for (long i = 0; i < n; i++) {
        number reset = gates[i], update = gates[n + i], candidate = gates[2 * n + i];
        number d_candidate = d[i] * (1 - update) * (1 - candidate * candidate);
        d_a[i] = d_b[i] = d_candidate * gates[3 * n + i] * reset * (1 - reset);
        d_a[n + i] = d_b[n + i] = d[i] * (before[i] - candidate) * update * (1 - update);
        d_a[2 * n + i] = d_candidate, d_b[2 * n + i] = d_candidate * reset;
        d[i] *= update;
    }
}

static void run_lstm_back(long n, const number *restrict gates, const number *restrict cell, number *restrict d,
                          number *restrict d_cell, number *restrict d_a) {
    TOGETHER for (long i = 0; i < n; i++) {
        number input = gates[i], forget = gates[n + i], candidate = gates[2 * n + i], output = gates[3 * n + i];
        number shown = gates[4 * n + i], d_after = d_cell[i] + d[i] * output * (1 - shown * shown);
        d_a[i] = d_after * candidate * input * (1 - input);
        d_a[n + i] = d_after * cell[i] * forget * (1 - forget);
        d_a[2 * n + i] = d_after * input * (1 - candidate * candidate);
        d_a[3 * n + i] = d[i] * shown * output * (1 - output);
        d_cell[i] = d_after * forget;
        d[i] = 0;
    }
}

/* --- a step of all rows ------------------------------------------------------------------------------------------------ */

void run_forward(const Layer *l, long place) {
    long n = l->width, sums = l->kind * n;
    number *a = l->scratch, *b = a + sums;
    for (long row = 0; row < l->rows; row++) {
        long at = place * l->rows + row, next = (at + l->rows) * n;
        number *hidden = l->hidden + next, *gates = l->gates + at * (l->kind + 1) * n;
        const number *before = l->hidden + at * n;
        widen(l->low, l->from_input, at * sums, sums, a);
        add(sums, l->bias, a);
        widen(l->low, l->from_state, row * sums, sums, b);
        add(sums, l->state_bias, b);
        if (l->kind == RNN)
            run_rnn(n, a, b, hidden);
        else if (l->kind == GRU)
            run_gru(n, a, b, before, gates, hidden);
        else
            run_lstm(n, a, b, l->cells + at * n, gates, hidden, l->cells + next);
        if (l->low_hidden)
            narrow(1, hidden, n, l->low_hidden, next);
    }
}

void run_backward(const Layer *l, long place) {
    long n = l->width, sums = l->kind * n;
    number *d_a = l->scratch, *d_b = d_a + sums, *product = d_b + sums;
    for (long row = 0; row < l->rows; row++) {
        long at = place * l->rows + row;
        number *d = l->d_state + row * n, *gates = l->gates + at * (l->kind + 1) * n;
        if (l->d_product) {
            widen(l->low, l->d_product, row * n, n, product);
            add(n, product, d);
        }
        if (l->d_hidden)
            add(n, l->d_hidden + at * n, d);
        if (l->kind == RNN)
            run_rnn_back(n, l->hidden + (at + l->rows) * n, d, d_a);
        else if (l->kind == GRU)
            run_gru_back(n, gates, l->hidden + at * n, d, d_a, d_b);
        else
            run_lstm_back(n, gates, l->cells + at * n, d, l->d_cell + row * n, d_a);
        narrow(l->low, d_a, sums, l->d_from_input, at * sums);
        add(sums, d_a, l->d_bias);
        if (l->d_from_state) {
            narrow(l->low, d_b, sums, l->d_from_state, at * sums);
            add(sums, d_b, l->d_state_bias);
        }
    }
}
