/* Products act(gate) * value of N numbers a row, and their gradients. It follows numbers.c. Gates and values are in bf16 if
   they are `low`, else of the type `number`, and so are their gradients; of a row of a wider array they may be a part. */

enum { SILU, GELU, GELU_TANH };

typedef struct {
    void *first;
    long apart; /* of rows, in numbers */
    long low;
} Rows;

typedef struct {
    number made, slope;
} Shown;

static inline Shown show_silu(number x) {
    number open = sigmoid_of(x);
    return (Shown){x * open, open * (1 + x * (1 - open))};
}

/* x times the normal distribution: Abramowitz and Stegun 7.1.26, to 1.5e-7. */
static inline Shown show_gelu(number x) {
    number density = exponential(-x * x / 2);
#ifdef DOUBLE
    number below = erfc(-x * 0.70710678118654752) / 2;
#else
    number size = SIZE(x) * (number)0.70710678118654752, t = 1 / (1 + 0.3275911f * size);
    number sum = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    number tail = sum * density / 2, below = x < 0 ? tail : 1 - tail;
#endif
    return (Shown){x * below, below + x * density * (number)0.39894228040143268};
}

static inline Shown show_gelu_tanh(number x) {
    number square = x * x, twice = (number)1.5957691216057308 * x * (1 + (number)0.044715 * square);
    number open = sigmoid_of(twice), growth = (number)1.5957691216057308 * (1 + (number)0.134145 * square);
    return (Shown){x * open, open + x * open * (1 - open) * growth};
}

#define FOR_EACH(SHOW, ...)                  \
    TOGETHER for (long i = 0; i < n; i++) {  \
        Shown shown = SHOW(x[i]);            \
        __VA_ARGS__;                         \
    }

#define CHOOSE(...)                             \
    if (kind == SILU)                           \
        FOR_EACH(show_silu, __VA_ARGS__)        \
    else if (kind == GELU)                      \
        FOR_EACH(show_gelu, __VA_ARGS__)        \
    else                                        \
        FOR_EACH(show_gelu_tanh, __VA_ARGS__)

static void show(long n, int kind, const number *restrict x, const number *restrict value, number *restrict made) {
    CHOOSE(made[i] = shown.made * value[i])
}

static void show_back(long n, int kind, const number *restrict x, const number *restrict value,
                      const number *restrict heard, number *restrict d_x, number *restrict d_value) {
    CHOOSE(d_x[i] = shown.slope * value[i] * heard[i], d_value[i] = shown.made * heard[i])
}

static void get(const Rows *from, long row, long n, number *to) {
    widen((int)from->low, from->first, row * from->apart, n, to);
}

static void put(const Rows *to, long row, long n, const number *from) {
    narrow((int)to->low, from, n, to->first, row * to->apart);
}

/* `scratch` is room for three rows, or in the gradient for five. */
void gate(long rows, long n, long kind, const Rows *gates, const Rows *values, const Rows *made, number *scratch) {
    number *x = scratch, *value = x + n, *to = value + n;
    for (long row = 0; row < rows; row++) {
        get(gates, row, n, x), get(values, row, n, value);
        show(n, (int)kind, x, value, to);
        put(made, row, n, to);
    }
}

void gate_back(long rows, long n, long kind, const Rows *gates, const Rows *values, const Rows *heard, const Rows *d_gates,
               const Rows *d_values, number *scratch) {
    number *x = scratch, *value = x + n, *d = value + n, *d_x = d + n, *d_value = d_x + n;
    for (long row = 0; row < rows; row++) {
        get(gates, row, n, x), get(values, row, n, value), get(heard, row, n, d);
        show_back(n, (int)kind, x, value, d, d_x, d_value);
        put(d_gates, row, n, d_x), put(d_values, row, n, d_value);
    }
}
