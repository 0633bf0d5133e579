/* One step of a cell for a batch of rows, in one thread or several.

   A row has the same bits in any batch, with any number of threads, and in vectors of any width. */

#include "gates.h"
#include "products.h"
#include "threads.h"

/* The panels, units or rows of one thread: the first, and the one after the last. */
typedef struct {
    long first, end;
} Share;

static Share share(long whole, long thread, long threads, long grain) {
    long grains = (whole + grain - 1) / grain, end = grains * (thread + 1) / threads * grain;
    return (Share){grains * thread / threads * grain, end < whole ? end : whole};
}

/* Compute one thread's panels of bias + rows times a matrix, as (panels, rows, PANEL). */
static void affine(const Matrix *m, const Rows *in, long rows, long thread, long threads, float *sums) {
    Share own = share(m->width / PANEL, thread, threads, 4);
    if (own.first < own.end)
        product(m, in, rows, own.first, own.end, sums + own.first * rows * PANEL);
}

/* Copy one row (width,) from the panels of `affine`. */
static void gather(const Matrix *m, const float *sums, long rows, long row, float *to) {
    for (long first = 0; first < m->width; first += PANEL)
        memcpy(to + first, sums + first * rows + row * PANEL, PANEL * sizeof(float));
}

/* Compute the gates of the units of some panels, for all rows, from their products. */
static void block_gates(const Step *s, long number, long first, long end, const float *from_input,
                        const float *from_state) {
    const Model *m = s->m;
    long at = number * m->hidden + first * PANEL, left = m->hidden - first * PANEL, stride = m->count * m->hidden;
    States states = {s->before + at, s->after + at, s->rows, stride, s->rows * stride};
    long count = (end - first) * PANEL < left ? (end - first) * PANEL : left;
    compute_gates(m->layers[number].gates, from_input, from_state, &states, count);
}

/* Compute one thread's units of a layer, some panels at a time, so that their products stay in the cache. */
static void compute_units(const Step *s, long number, long thread, long threads) {
    const Layer *layer = s->m->layers + number;
    long sums = known_gates[layer->gates].sums, panels = panels_of_block(layer, s->rows);
    float *from_input = s->blocks + thread * s->block, *from_state = from_input;
    Share own = share(round_up(s->m->hidden, BOTH) / PANEL, thread, threads, 2);
    for (long first = own.first; first < own.end; first += panels) {
        long end = first + panels < own.end ? first + panels : own.end;
        product(&layer->from_input, number ? &s->seen : &s->embedded, s->rows, first * sums, end * sums, from_input);
        if (layer->from_state.width) {
            from_state = from_input + (end - first) * sums * s->rows * PANEL;
            product(&layer->from_state, &s->recurred, s->rows, first * sums, end * sums, from_state);
        }
        block_gates(s, number, first, end, from_input, from_state);
    }
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

/* Prepare one row of the inputs of layer `number`, or of the head. `line` is scratch of two rows. */
static void prepare(const Step *s, long number, long row, float *line) {
    const Model *m = s->m;
    long stride = m->count * m->hidden;
    if (number == 0)
        embed(m, s->columns + row * m->columns, line);
    else
        read_layers(m, number, s->after + row * stride, line + s->depth, line);
    encode_row(number ? &s->seen : &s->embedded, row, line);
    if (number < m->count && m->layers[number].from_state.width)
        encode_row(&s->recurred, row, s->before + row * stride + number * m->hidden);
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
    float *line = s->lines + 2 * thread * s->depth, *apart = s->apart + thread * s->width;
    Share own = share(rows, thread, threads, 1);
    for (long number = 0; number < m->count; number++) {
        const Layer *layer = m->layers + number;
        for (long row = own.first; row < own.end; row++)
            prepare(s, number, row, line);
        barrier_wait(threads);
        if (layer->gates == OTHER) {
            affine(&layer->from_input, number ? &s->seen : &s->embedded, rows, thread, threads, s->sums);
            affine(&layer->from_state, &s->recurred, rows, thread, threads, s->sums + rows * layer->from_input.width);
            barrier_wait(threads);
            if (thread == 0)
                callback_gates(s, number);
        } else {
            compute_units(s, number, thread, threads);
        }
        barrier_wait(threads);
    }
    for (long row = own.first; row < own.end; row++)
        prepare(s, m->count, row, line);
    barrier_wait(threads);
    affine(&m->head, &s->seen, rows, thread, threads, s->sums);
    affine(&m->head_embedded, &s->embedded, rows, thread, threads, s->sums);
    barrier_wait(threads);
    for (long row = own.first; row < own.end; row++)
        point(s, row, apart);
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

/* Whether matrices of HALF can be read. */
int reads_halves(void) { return READS_HALVES; }

/* Whether there is an instruction for `fuse`; without it, others are faster. */
int fuses(void) { return FUSES; }

enum { DONE, BAD_SIZES, BAD_COLUMN };

/* before, after: `parts` arrays of (rows, count, hidden), concatenated. logits: (rows, outputs).
   Return DONE; or do nothing, and return BAD_SIZES if sizes do not fit one another or the scratch memory, BAD_COLUMN
   if a number in `columns` is beyond its table. */
int step(const Model *m, long rows, const int64_t *columns, const float *before, float *after, float *logits,
         long threads) {
    long needed = scratch_size(m, rows, threads);
    if (needed < 0 || needed > m->room || !m->scratch)
        return BAD_SIZES;
    if (is_column_beyond(m, rows, columns))
        return BAD_COLUMN;
    UNGUARD(m->scratch, m->room);
    Room room = {.begins = m->scratch};
    Step s = lay_out_step(m, rows, threads, &room);
    s.columns = columns, s.before = before, s.after = after, s.logits = logits;
    run(&s, threads);
    UNGUARD(m->scratch, m->room);
    return DONE;
}
