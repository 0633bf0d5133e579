/* A layer of minimal cells in training: bias, gates, recurrence in time, sum with the layers below, norm and dropout,
   in one pass forward and one backward.

   A row (a piece of the batch) is computed in one thread, and its sums add their terms in a fixed order. So no bit
   depends on the number of threads. Sums of gates, what the next layer reads, and their gradients are in 32 bits or in
   bf16; all else is in 32 bits. With -DDOUBLE, 32 bits become 64, so that gradients can be checked.

   It follows numbers.c. */

#include <stdatomic.h>

#define EPSILON ((number)1e-5) /* of torch's layer norm */

enum { MINGRU = 2, MINLSTM = 3 }; /* a kind is the number of its sums of a unit */

typedef struct {
    long rows, places, width, kind; /* B, T, H */
    int low_sums, low_read;         /* whether `sums`, `read` and their gradients are in bf16 */
    long threshold;                 /* levels below it are dropped */
    number scale;                   /* of numbers that are not dropped */
    const void *sums;               /* (B, T, kind * H) without bias */
    const number *bias;             /* (kind * H) */
    const number *before;           /* (B, H) states before the first place */
    const number *below;            /* (B, T, H) sum of the layers below, or null */
    const int16_t *levels;          /* (B, T, H) random bits, or null: no dropout */
    number *hidden, *total, *norms; /* (B, T, H) states; their sum with `below`; (B, T, 2) mean and 1 / deviation */
    void *read;                     /* (B, T, H) normalised `total` after dropout */
    const number *d_total;          /* gradients, or null: 0 */
    const void *d_read;
    const number *d_last;           /* (B, H) of the state after the last place */
    void *d_sums;
    number *d_below, *d_before;     /* d_below: or null */
    number *d_bias;                 /* (B, kind * H), apart for each row */
    number *scratch;                /* (B, (2 * kind + 2) * H) */
    _Atomic long next;              /* the first row that no thread has taken */
} Pass;

/* --- gates: two that add up to 1, and the candidate ---------------------------------------------------------------- */

typedef struct {
    number held, taken; /* shares of the old state and of the candidate */
} Shares;

/* held : taken as 1 : odds, where odds = e^exponent * ratio. */
static inline Shares share(number exponent, number ratio) {
    number small = exponential(-SIZE(exponent)) * (exponent > 0 ? 1 / ratio : ratio);
    number large_part = 1 / (1 + small), small_part = small * large_part;
    return exponent > 0 ? (Shares){small_part, large_part} : (Shares){large_part, small_part};
}

static inline Shares share_mingru(number update) { return share(update, 1); }

/* f / (f + i) and i / (f + i), where e.g. f = e^min(a, 0) / (1 + e^-|a|): nothing overflows, and no 0 / 0. */
static inline Shares share_minlstm(number forget, number input) {
    number low_forget = forget > 0 ? 0 : forget, low_input = input > 0 ? 0 : input;
    number ratio = (1 + exponential(-SIZE(forget))) / (1 + exponential(-SIZE(input)));
    return share(low_input - low_forget, ratio);
}

static inline number candidate_of(number x) { return x >= 0 ? x + (number)0.5 : sigmoid_of(x); }

static void step(const Pass *p, const number *restrict a, const number *restrict before, number *restrict hidden) {
    long n = p->width;
    if (p->kind == MINGRU)
        TOGETHER for (long i = 0; i < n; i++) {
            Shares part = share_mingru(a[i]);
            hidden[i] = part.held * before[i] + part.taken * candidate_of(a[n + i]);
        }
    else
        TOGETHER for (long i = 0; i < n; i++) {
            Shares part = share_minlstm(a[i], a[n + i]);
            hidden[i] = part.held * before[i] + part.taken * candidate_of(a[2 * n + i]);
        }
}

/* From the gradient `d` of the states, compute that of the sums, and in its place that of the states before. */
static void step_back(const Pass *p, const number *restrict a, const number *restrict before, number *restrict d,
                      number *restrict d_a) {
    long n = p->width;
    if (p->kind == MINGRU)
        TOGETHER for (long i = 0; i < n; i++) {
            Shares part = share_mingru(a[i]);
            number below = sigmoid_of(a[n + i]), found = a[n + i] >= 0 ? a[n + i] + (number)0.5 : below;
            d_a[i] = part.taken * part.held * d[i] * (found - before[i]);
            d_a[n + i] = d[i] * part.taken * (a[n + i] >= 0 ? 1 : below * (1 - below));
            d[i] *= part.held;
        }
    else
        TOGETHER for (long i = 0; i < n; i++) {
            Shares part = share_minlstm(a[i], a[n + i]);
            number below = sigmoid_of(a[2 * n + i]), found = a[2 * n + i] >= 0 ? a[2 * n + i] + (number)0.5 : below;
            number d_odds = part.taken * part.held * d[i] * (before[i] - found);
            d_a[i] = d_odds * sigmoid_of(-a[i]);
            d_a[n + i] = -d_odds * sigmoid_of(-a[n + i]);
            d_a[2 * n + i] = d[i] * part.taken * (a[2 * n + i] >= 0 ? 1 : below * (1 - below));
            d[i] *= part.held;
        }
}

/* --- the norm ------------------------------------------------------------------------------------------------------ */

static void normalise(long n, const number *restrict total, number *restrict norms, number *restrict read) {
    number sum = 0, squares = 0;
    _Pragma("omp simd reduction(+ : sum)") for (long i = 0; i < n; i++) sum += total[i];
    number mean = sum / n;
    _Pragma("omp simd reduction(+ : squares)") for (long i = 0; i < n; i++) squares +=
        (total[i] - mean) * (total[i] - mean);
    number factor = 1 / ROOT(squares / n + EPSILON);
    norms[0] = mean, norms[1] = factor;
    TOGETHER for (long i = 0; i < n; i++) read[i] = (total[i] - mean) * factor;
}

/* Replace the gradient of the normalised numbers by that of the numbers. */
static void normalise_back(long n, const number *restrict total, const number *norms, number *restrict d) {
    number mean = norms[0], factor = norms[1], sum = 0, along = 0;
    _Pragma("omp simd reduction(+ : sum, along)") for (long i = 0; i < n; i++) {
        sum += d[i];
        along += d[i] * (total[i] - mean) * factor;
    }
    sum /= n, along /= n;
    TOGETHER for (long i = 0; i < n; i++) d[i] = factor * (d[i] - sum - (total[i] - mean) * factor * along);
}

static void drop(const Pass *p, long at, number *restrict x) {
    if (!p->levels)
        return;
    const int16_t *levels = p->levels + at;
    int threshold = (int)p->threshold;
    number scale = p->scale; /* read once, so that the loop can be vectorised */
    long n = p->width;
    TOGETHER for (long i = 0; i < n; i++) x[i] *= levels[i] >= threshold ? scale : 0;
}

/* --- one row --------------------------------------------------------------------------------------------------------- */

static void read_sums(const Pass *p, long place, number *a) {
    long sums = p->kind * p->width;
    widen(p->low_sums, p->sums, place * sums, sums, a);
    add(sums, p->bias, a);
}

/* --- memory: the processor fetches ahead from the first place to the last, but not from the last to the first -------- */

#define BLOCK 16 /* places that are read in order of time before they are needed in reverse */
#define LINE 64  /* bytes */

static void touch(int low, const void *array, long at, long size) {
    long width = low ? sizeof(uint16_t) : sizeof(number);
    for (long i = at * width; array && i < (at + size) * width; i += LINE)
        (void)((const volatile char *)array)[i];
}

static void touch_block(const Pass *p, long place) {
    long at = place * p->width, size = BLOCK * p->width;
    touch(p->low_sums, p->sums, at * p->kind, size * p->kind);
    touch(0, p->hidden, at, size);
    touch(0, p->total, at, size);
    touch(1, p->levels, at, size);
    touch(0, p->d_total, at, size);
    touch(p->low_read, p->d_read, at, size);
}

static void run_forward(const Pass *p, long row, number *scratch) {
    long n = p->width;
    number *a = scratch, *read = scratch + p->kind * n;
    const number *before = p->before + row * n;
    for (long place = row * p->places; place < (row + 1) * p->places; place++) {
        long at = place * n;
        number *hidden = p->hidden + at, *total = p->total + at;
        read_sums(p, place, a);
        step(p, a, before, hidden);
        if (p->below) {
            memcpy(total, p->below + at, n * sizeof(number));
            add(n, hidden, total);
        }
        normalise(n, total, p->norms + 2 * place, read);
        drop(p, at, read);
        narrow(p->low_read, read, n, p->read, at);
        before = hidden;
    }
}

static void run_backward(const Pass *p, long row, number *scratch) {
    long n = p->width, sums = p->kind * n;
    number *a = scratch, *d_a = a + sums, *d = d_a + sums, *d_total = d + n, *d_bias = p->d_bias + row * sums;
    memset(d_bias, 0, sums * sizeof(number));
    memset(d, 0, n * sizeof(number));
    if (p->d_last)
        add(n, p->d_last + row * n, d);
    for (long place = (row + 1) * p->places - 1; place >= row * p->places; place--) {
        long at = place * n, block = place + 1 - BLOCK;
        if (block % BLOCK == 0 && block >= row * p->places)
            touch_block(p, block);
        memset(d_total, 0, n * sizeof(number));
        if (p->d_read) {
            widen(p->low_read, p->d_read, at, n, d_total);
            drop(p, at, d_total);
            normalise_back(n, p->total + at, p->norms + 2 * place, d_total);
        }
        if (p->d_total)
            add(n, p->d_total + at, d_total);
        if (p->d_below)
            memcpy(p->d_below + at, d_total, n * sizeof(number));
        add(n, d_total, d);
        read_sums(p, place, a);
        step_back(p, a, place > row * p->places ? p->hidden + at - n : p->before + row * n, d, d_a);
        add(sums, d_a, d_bias);
        narrow(p->low_sums, d_a, sums, p->d_sums, place * sums);
    }
    memcpy(p->d_before + row * n, d, n * sizeof(number));
}

/* --- all rows ---------------------------------------------------------------------------------------------------------- */

typedef void (*Parallel)(void (*work)(void *), void *data, unsigned threads, unsigned flags); /* as GOMP_parallel */

static void work(void *data, void (*run)(const Pass *, long, number *)) {
    Pass *p = data;
    for (long row; (row = atomic_fetch_add(&p->next, 1)) < p->rows;)
        run(p, row, p->scratch + row * (2 * p->kind + 2) * p->width);
}

static void work_forward(void *data) { work(data, run_forward); }
static void work_backward(void *data) { work(data, run_backward); }

void run_pass(Pass *p, int backward, Parallel parallel, int threads) {
    void (*chosen)(void *) = backward ? work_backward : work_forward;
    atomic_store(&p->next, 0);
    if (parallel && threads > 1 && p->rows > 1)
        parallel(chosen, p, threads, 0);
    else
        chosen(p);
}
