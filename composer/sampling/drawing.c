/* The choice of the next token of each row: masks, the described logits processors, the draw and its costs.
 *
 * The reference is NumPy, in distribution.py: the tokens kept and the sums of exponentials are the same to the bit.
 * A row's result does not depend on the other rows. Compile without contraction of products and sums.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { DIVIDE, KEEP_COUNT, KEEP_MASS, KEEP_RATIO };
enum { BUCKETS = 64 };

typedef struct {
    int64_t count;    /* tokens in play */
    int32_t *ids;     /* rising */
    double *values;   /* their logits */
    double *weights;  /* scratch */
    double *sorted;   /* scratch */
} Tokens;

/* exp(x) of x <= 0 in single precision (Cody and Waite's reduction, and the polynomial of Cephes' expf). */
static inline float exp_single(float x)
{
    float lifted = x < -88.0f ? -88.0f : x;
    float n = rintf(lifted * 1.44269504088896341f);
    float r = lifted - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    float y = (p * (r * r) + r) + 1.0f;
    union { int32_t bits; float value; } power = {.bits = ((int32_t)n + 127) << 23};
    return x < -87.0f ? 0.0f : y * power.value;
}

/* The sum of exp(values - top), one after the other; with `sums`, all partial sums too. */
static double sum_exponentials(const Tokens *t, double top, double *sums)
{
    for (int64_t i = 0; i < t->count; i++) sums[i] = (double)exp_single((float)(t->values[i] - top));
    double sum = 0.0;
    for (int64_t i = 0; i < t->count; i++) sums[i] = sum += sums[i];
    return sum;
}

static double find_top(const Tokens *t)
{
    double top = -INFINITY;
    int unsound = 0;
    for (int64_t i = 0; i < t->count; i++) {
        top = t->values[i] > top ? t->values[i] : top;
        unsound |= t->values[i] != t->values[i];
    }
    return unsound ? NAN : top;
}

/* Keep the tokens above `least`, and the first of its equals, `count` in all. */
static void keep_first(Tokens *t, double least, int64_t count)
{
    int64_t above = 0, kept = 0;
    for (int64_t i = 0; i < t->count; i++) above += t->values[i] > least;
    int64_t equals = count - above;
    for (int64_t i = 0; i < t->count; i++) {
        int keep = t->values[i] > least || (t->values[i] == least && equals-- > 0);
        t->ids[kept] = t->ids[i];
        t->values[kept] = t->values[i];
        kept += keep;
    }
    t->count = kept;
}

static void sort_falling(double *a, int64_t n)
{
    while (n > 16) {
        double pivot = a[n / 2], other = a[0] < a[n - 1] ? a[n - 1] : a[0], low = a[0] < a[n - 1] ? a[0] : a[n - 1];
        pivot = pivot > other ? other : pivot < low ? low : pivot; /* the median of three */
        int64_t i = 0, j = n - 1;
        while (i <= j) {
            while (a[i] > pivot) i++;
            while (a[j] < pivot) j--;
            if (i <= j) {
                double held = a[i];
                a[i++] = a[j];
                a[j--] = held;
            }
        }
        if (j + 1 < n - i) {
            sort_falling(a, j + 1);
            a += i;
            n -= i;
        } else {
            sort_falling(a + i, n - i);
            n = j + 1;
        }
    }
    for (int64_t i = 1; i < n; i++) {
        double held = a[i];
        int64_t j = i;
        for (; j > 0 && a[j - 1] < held; j--) a[j] = a[j - 1];
        a[j] = held;
    }
}

static void keep_count(Tokens *t, int64_t count)
{
    if (count >= t->count) return;
    memcpy(t->sorted, t->values, sizeof(double) * t->count);
    sort_falling(t->sorted, t->count);
    if (t->sorted[count - 1] > -INFINITY) keep_first(t, t->sorted[count - 1], count);
}

/* Keep the likeliest tokens that hold a share `p`. Buckets of logits are passed by whole, and only one is sorted. */
static void keep_mass(Tokens *t, double p, double top)
{
    int64_t sizes[BUCKETS] = {0};
    double masses[BUCKETS] = {0}, total = 0.0;
    for (int64_t i = 0; i < t->count; i++) t->weights[i] = exp(t->values[i] - top);
    for (int64_t i = 0; i < t->count; i++) {
        double below = (top - t->values[i]) * 4.0; /* a quarter of a nat each; the last one holds the rest */
        int at = below < BUCKETS - 1 ? (int)below : BUCKETS - 1;
        sizes[at]++;
        masses[at] += t->weights[i];
        total += t->weights[i];
    }
    double aim = p * total, sum = 0.0;
    int at = 0, end = BUCKETS - 1;
    int64_t before = 0;
    while (!sizes[end]) end--; /* sums may be rounded to less than the total */
    while (at < end && sum + masses[at] < aim) {
        sum += masses[at];
        before += sizes[at++];
    }
    int64_t inside = 0;
    for (int64_t i = 0; i < t->count; i++) {
        double below = (top - t->values[i]) * 4.0;
        if ((below < BUCKETS - 1 ? (int)below : BUCKETS - 1) == at) t->sorted[inside++] = t->values[i];
    }
    sort_falling(t->sorted, inside);
    int64_t last = 0;
    for (; last < inside - 1 && t->sorted[last] > -INFINITY; last++)
        if ((sum += exp(t->sorted[last] - top)) >= aim) break;
    keep_first(t, t->sorted[last], before + last + 1);
}

static void keep_ratio(Tokens *t, double least, double top)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < t->count; i++) {
        int keep = t->values[i] >= top + least;
        t->ids[kept] = t->ids[i];
        t->values[kept] = t->values[i];
        kept += keep;
    }
    t->count = kept;
}

static void apply(Tokens *t, int kind, double value)
{
    if (kind == DIVIDE)
        for (int64_t i = 0; i < t->count; i++) t->values[i] /= value;
    else if (kind == KEEP_COUNT)
        keep_count(t, value < (double)t->count ? (int64_t)value : t->count);
    else if (kind == KEEP_MASS)
        keep_mass(t, value, find_top(t));
    else
        keep_ratio(t, value > 0.0 ? log(value) : -INFINITY, find_top(t));
}

static void gather(Tokens *t, const float *logits, const uint8_t *allowed, int64_t width)
{
    int64_t count = 0;
    for (int64_t v = 0; v < width; v++) {
        t->ids[count] = (int32_t)v;
        count += allowed[v] != 0;
    }
    t->count = count;
    for (int64_t i = 0; i < count; i++) t->values[i] = logits[t->ids[i]];
}


/* Draw the first token whose partial sum passes the uniform's share of the whole. */
static int64_t draw(const Tokens *t, const double *sums, double total, double uniform)
{
    double passed = uniform * total, most = nextafter(total, 0.0);
    passed = passed < most ? passed : most;
    int64_t i = 0;
    while (i < t->count - 1 && !(sums[i] > passed)) i++;
    return i;
}

/* Choose a token for each row, unless it is given (>= 0).
 *
 * logits (rows, width); allowed, and legal or NULL, (rows, width) masks; kinds and values of the operations; uniforms,
 * given (rows,). Results: tokens (rows,), costs (rows, 3) in nats of model, chain and constraints. Returned is the number
 * of rows for which the model gives no probabilities. Scratch: width ids, and 4 * width doubles.
 */
int64_t choose_tokens(int64_t rows, int64_t width, const float *logits, const uint8_t *allowed, const uint8_t *legal,
                   int64_t operations, const int32_t *kinds, const double *values, const double *uniforms,
                   const int64_t *given, int32_t *ids, double *scratch, int64_t *tokens, double *costs)
{
    int64_t unsound = 0;
    for (int64_t row = 0; row < rows; row++, logits += width, allowed += width, legal += legal ? width : 0, costs += 3) {
        costs[0] = costs[1] = costs[2] = 0.0;
        if (given[row] >= 0) {
            tokens[row] = given[row];
            continue;
        }
        Tokens t = {0, ids, scratch, scratch + width, scratch + 2 * width};
        double *sums = scratch + 3 * width, free_mass = 0.0;
        int narrowed = legal && memcmp(legal, allowed, width);  /* else constraints cost nothing */
        if (narrowed) {
            gather(&t, logits, legal, width);
            double top = find_top(&t);
            free_mass = top + log(sum_exponentials(&t, top, sums));
        }
        gather(&t, logits, allowed, width);
        double top = find_top(&t);
        if (!isfinite(top)) {
            unsound++;
            tokens[row] = 0;
            continue;
        }
        double total = sum_exponentials(&t, top, sums), mass = top + log(total);
        for (int64_t i = 0; i < operations; i++) apply(&t, kinds[i], values[i]);
        double chain_mass = mass;
        if (operations) {
            top = find_top(&t);
            total = sum_exponentials(&t, top, sums);
            chain_mass = top + log(total);
        }
        int64_t at = draw(&t, sums, total, uniforms[row]);
        tokens[row] = t.ids[at];
        costs[0] = -((double)logits[tokens[row]] - mass);
        costs[1] = operations ? -(t.values[at] - chain_mass) : costs[0];
        costs[2] = narrowed ? free_mass - mass : 0.0;
    }
    return unsound;
}

/* The greatest logit of tokens that may all be at -INFINITY: then no exponential is NaN. */
static const double LOWEST = -1e300;
static double lift(double top) { return top < LOWEST ? LOWEST : top; }

/* Choose a token for each particle, among the kept tokens of its row.
 *
 * logits (rows, width); legal or NULL, allowed and kept, (rows, width) masks; kinds and values of the operations; the
 * row `at` and the uniform of each particle. Results: tokens (particles,), `values` (particles,) of the tokens after the
 * operations, and for each row the greatest logit and the sum of exponentials below it (rows, 4, 2): of the legal, the
 * allowed and the kept tokens, and of these after the operations. Scratch: width ids, and 4 * width doubles.
 */
void choose_particles(int64_t rows, int64_t width, const float *logits, const uint8_t *legal, const uint8_t *allowed,
                      const uint8_t *kept, int64_t operations, const int32_t *kinds, const double *operands,
                      int64_t particles, const int64_t *at, const double *uniforms, int32_t *ids, double *scratch,
                      int64_t *tokens, double *values, double *masses)
{
    for (int64_t row = 0; row < rows; row++, logits += width, masses += 8) {
        Tokens t = {0, ids, scratch, scratch + width, scratch + 2 * width};
        double *sums = scratch + 3 * width;
        const uint8_t *masks[3] = {legal ? legal : allowed, allowed, kept};
        for (int which = legal ? 0 : 1; which < 3; which++) {
            gather(&t, logits, masks[which] + row * width, width);
            masses[2 * which] = lift(find_top(&t));
            masses[2 * which + 1] = sum_exponentials(&t, masses[2 * which], sums);
        }
        if (masses[4] > LOWEST)
            for (int64_t i = 0; i < operations; i++) apply(&t, kinds[i], operands[i]);
        double top = masses[6] = lift(find_top(&t)), total = masses[7] = sum_exponentials(&t, top, sums);
        for (int64_t n = 0; n < particles; n++)
            if (at[n] == row && t.count) {
                int64_t place = draw(&t, sums, total, uniforms[n]);
                tokens[n] = t.ids[place];
                values[n] = t.values[place];
            }
    }
}
