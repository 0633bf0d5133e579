/* A memory that is a matrix S (K, V) of each head, step by step, and gradients of the delta rule. It follows numbers.c.

   A step decays S by a, writes w at the key k, and the query q reads it: S' = a S + k w^T, o = S'^T q. What is written is
   the value v; or by the delta rule the share b of the difference between it and what S holds there, w = b (v - a S^T k).
   Columns of S know nothing of each other. So they are taken in blocks that stay in the processor's nearest cache, two
   vectors a row. */

#if defined __AVX512F__
#define BYTES 64
#elif defined __AVX__
#define BYTES 32
#else
#define BYTES 16
#endif

typedef number lanes __attribute__((vector_size(BYTES), may_alias));

enum { LANES = BYTES / sizeof(number), BLOCK = 2 * LANES, FOUR = 4, SEGMENT = 16 }; /* steps between two memories that are kept */

typedef struct {
    lanes low, high;
} Block;

typedef struct {
    number *first;
    long row, head, place; /* how far apart parts are, in numbers */
} Array;                   /* (B, heads, T, N) */

typedef struct {
    long rows, heads, places, keys, values; /* B, heads, T, K, V */
    Array query, key, value;                /* (B, heads, T, K or V) */
    Array read;                             /* (B, heads, T, V), in the gradient that of it */
    Array d_query, d_key, d_value;          /* zeros at first */
    const number *decay, *share;            /* (B, heads, T) */
    number *d_decay, *d_share;              /* likewise, zeros at first; that of the decay's logarithm */
    number *state;                          /* (B, heads, K, V), replaced; in the gradient that of it */
    number *kept;                           /* memories, in blocks, before each segment; or null */
    number *scratch;                        /* of the size of `count_scratch` */
} Memory;

long count_kept(long places, long keys, long values) {
    return (places + SEGMENT - 1) / SEGMENT * keys * ((values + BLOCK - 1) / BLOCK * BLOCK);
}

long count_scratch(long keys) { return (SEGMENT + 3) * keys * BLOCK; }

static Block load(const number *from, long count) {
    Block made = {{0}, {0}};
    memcpy(&made, from, count * sizeof(number));
    return made;
}

static void store(Block block, long count, number *to) { memcpy(to, &block, count * sizeof(number)); }

static inline void fold(long rows, long width, number *parts) {
    for (long row = 0; row < rows; row++)
        for (long i = 0; i < width; i++)
            parts[row * width + i] = parts[row * 2 * width + i] + parts[(row * 2 + 1) * width + i];
}

/* Add the sum of each of `rows` vectors, which are overwritten, to a number. */
static void add_sums(long rows, number *parts, number *to) {
    if (LANES > 8)
        fold(rows, 8, parts);
    if (LANES > 4)
        fold(rows, 4, parts);
    if (LANES > 2)
        fold(rows, 2, parts);
    TOGETHER for (long row = 0; row < rows; row++) to[row] += parts[2 * row] + parts[2 * row + 1];
}

static void copy_in(const number *from, long keys, long values, long count, Block *to) {
    for (long k = 0; k < keys; k++) to[k] = load(from + k * values, count);
}

static void copy_out(const Block *from, long keys, long values, long count, number *to) {
    for (long k = 0; k < keys; k++) store(from[k], count, to + k * values);
}

/* What the decayed memory holds at a key. */
static inline Block find_held(long keys, const number *key, number decay, const Block *state) {
    lanes low = {0}, high = {0};
    for (long k = 0; k < keys; k++) low += key[k] * state[k].low, high += key[k] * state[k].high;
    return (Block){decay * low, decay * high};
}

static inline Block find_written(Block value, Block held, number share) {
    return (Block){share * (value.low - held.low), share * (value.high - held.high)};
}

static inline void write(long keys, const number *key, Block written, number decay, const Block *state, Block *after) {
    for (long k = 0; k < keys; k++) {
        after[k].low = decay * state[k].low + key[k] * written.low;
        after[k].high = decay * state[k].high + key[k] * written.high;
    }
}

static inline Block write_and_read(long keys, const number *key, const number *query, Block written, number decay,
                                   Block *state) {
    lanes low = {0}, high = {0};
    for (long k = 0; k < keys; k++) {
        lanes low_after = decay * state[k].low + key[k] * written.low;
        lanes high_after = decay * state[k].high + key[k] * written.high;
        low += query[k] * low_after, high += query[k] * high_after;
        state[k].low = low_after, state[k].high = high_after;
    }
    return (Block){low, high};
}

typedef struct {
    long row, head, from, count; /* of values */
} Place;

static number *find(const Array *in, Place at, long t) {
    return in->first + at.row * in->row + at.head * in->head + t * in->place;
}

static Block load_values(const Array *in, Place at, long t) { return load(find(in, at, t) + at.from, at.count); }

static long find_gates(const Memory *m, Place at) { return (at.row * m->heads + at.head) * m->places; }

static number *find_state(const Memory *m, Place at) {
    return m->state + (at.row * m->heads + at.head) * m->keys * m->values + at.from;
}

static number *find_kept(const Memory *m, Place at, long t) {
    long of_head = count_kept(m->places, m->keys, m->values), of_block = count_kept(m->places, m->keys, BLOCK);
    return m->kept + (at.row * m->heads + at.head) * of_head + at.from / BLOCK * of_block + t / SEGMENT * m->keys * BLOCK;
}

static void run_block(const Memory *m, Place at) {
    Block *state = (Block *)m->scratch;
    const number *decay = m->decay + find_gates(m, at), *share = m->share + find_gates(m, at);
    copy_in(find_state(m, at), m->keys, m->values, at.count, state);
    for (long t = 0; t < m->places; t++) {
        const number *key = find(&m->key, at, t), *query = find(&m->query, at, t);
        if (m->kept && t % SEGMENT == 0)
            memcpy(find_kept(m, at, t), state, m->keys * sizeof(Block));
        Block held = find_held(m->keys, key, decay[t], state);
        Block written = find_written(load_values(&m->value, at, t), held, share[t]);
        store(write_and_read(m->keys, key, query, written, decay[t], state), at.count, find(&m->read, at, t) + at.from);
    }
    copy_out(state, m->keys, m->values, at.count, find_state(m, at));
}

/* A step, and the memories before and after it. */
typedef struct {
    long t;
    number decay, share;
    Block value, written, held, *before, *after;
} Step;

/* The gradients of a step, from those of what it read and of the memory `d` after it; `d` becomes that before it. */
static void run_step_back(const Memory *m, Place at, const Step *step, Block *d) {
    const number *key = find(&m->key, at, step->t), *query = find(&m->query, at, step->t);
    number *d_key = find(&m->d_key, at, step->t), *d_query = find(&m->d_query, at, step->t), decay = step->decay;
    const Block heard = load_values(&m->read, at, step->t), *before = step->before, *after = step->after;
    const Block value = step->value, written = step->written, held = step->held;
    Block d_written = {{0}, {0}};
    lanes *sums = (lanes *)(d - m->keys);
    for (long k = 0; k < m->keys; k++) {
        lanes low = d[k].low + query[k] * heard.low, high = d[k].high + query[k] * heard.high;
        d_written.low += key[k] * low, d_written.high += key[k] * high;
        sums[k] = after[k].low * heard.low + after[k].high * heard.high;
        d[k].low = low, d[k].high = high;
    }
    add_sums(m->keys, (number *)sums, d_query);
    lanes wanting = d_written.low * (value.low - held.low) + d_written.high * (value.high - held.high);
    add_sums(1, (number *)&wanting, m->d_share + find_gates(m, at) + step->t);
    const Block d_value = {step->share * d_written.low, step->share * d_written.high};
    const Block d_held = {-d_value.low, -d_value.high};
    store(d_value, at.count, find(&m->d_value, at, step->t) + at.from);
    lanes d_decay = {0};
    for (long k = 0; k < m->keys; k++) {
        lanes low = decay * before[k].low, high = decay * before[k].high;
        sums[k] = d[k].low * written.low + d[k].high * written.high + low * d_held.low + high * d_held.high;
        lanes d_low = d[k].low + key[k] * d_held.low, d_high = d[k].high + key[k] * d_held.high;
        d_decay += d_low * low + d_high * high;
        d[k].low = decay * d_low, d[k].high = decay * d_high;
    }
    add_sums(m->keys, (number *)sums, d_key);
    add_sums(1, (number *)&d_decay, m->d_decay + find_gates(m, at) + step->t);
}

static void run_block_back(const Memory *m, Place at) {
    long keys = m->keys, gates = find_gates(m, at);
    Block *d = (Block *)m->scratch + keys, *memories = d + keys; /* before `d` is room for sums */
    Step steps[SEGMENT];
    copy_in(find_state(m, at), keys, m->values, at.count, d);
    for (long begin = (m->places - 1) / SEGMENT * SEGMENT; begin >= 0; begin -= SEGMENT) {
        long count = m->places - begin < SEGMENT ? m->places - begin : SEGMENT;
        memcpy(memories, find_kept(m, at, begin), keys * sizeof(Block));
        for (long i = 0; i < count; i++) {
            long t = begin + i;
            const number *key = find(&m->key, at, t);
            Step *step = steps + i;
            *step = (Step){t, m->decay[gates + t], m->share[gates + t], load_values(&m->value, at, t)};
            step->before = memories + i * keys, step->after = step->before + keys;
            step->held = find_held(keys, key, step->decay, step->before);
            step->written = find_written(step->value, step->held, step->share);
            write(keys, key, step->written, step->decay, step->before, step->after);
        }
        for (long i = count - 1; i >= 0; i--) run_step_back(m, at, steps + i, d);
    }
    copy_out(d, keys, m->values, at.count, find_state(m, at));
}

/* Take `count` steps in one pass over the memory, without the delta rule. */
static inline void take_steps(const Memory *m, Place at, long t, int count, Block *state) {
    const number *key[FOUR], *query[FOUR], *decay = m->decay + find_gates(m, at) + t;
    Block value[FOUR], read[FOUR];
    for (int i = 0; i < count; i++) {
        key[i] = find(&m->key, at, t + i), query[i] = find(&m->query, at, t + i);
        value[i] = load_values(&m->value, at, t + i), read[i] = (Block){{0}, {0}};
    }
    for (long k = 0; k < m->keys; k++) {
        lanes low = state[k].low, high = state[k].high;
        for (int i = 0; i < count; i++) {
            low = decay[i] * low + key[i][k] * value[i].low, high = decay[i] * high + key[i][k] * value[i].high;
            read[i].low += query[i][k] * low, read[i].high += query[i][k] * high;
        }
        state[k].low = low, state[k].high = high;
    }
    for (int i = 0; i < count; i++) store(read[i], at.count, find(&m->read, at, t + i) + at.from);
}

static void run_linear_block(const Memory *m, Place at) {
    Block *state = (Block *)m->scratch;
    long t = 0;
    copy_in(find_state(m, at), m->keys, m->values, at.count, state);
    for (; t + FOUR <= m->places; t += FOUR) take_steps(m, at, t, FOUR, state);
    for (; t < m->places; t++) take_steps(m, at, t, 1, state);
    copy_out(state, m->keys, m->values, at.count, find_state(m, at));
}

static void run_all(const Memory *m, void (*run)(const Memory *, Place)) {
    for (long row = 0; row < m->rows; row++)
        for (long head = 0; head < m->heads; head++)
            for (long from = 0; from < m->values; from += BLOCK) {
                long left = m->values - from;
                run(m, (Place){row, head, from, left < BLOCK ? left : BLOCK});
            }
}

void run_linear(const Memory *m) { run_all(m, run_linear_block); }

void run_delta(const Memory *m) { run_all(m, run_block); }

void run_delta_back(const Memory *m) { run_all(m, run_block_back); }
