/* The scratch memory of a step. */

#ifndef SCRATCH_H
#define SCRATCH_H

#include "checks.h"
#include "rows.h"

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

/* The arguments of one `step`, and its parts of the scratch memory. */
typedef struct {
    const Model *m;
    long rows;
    const int64_t *columns;
    const float *before;
    float *after, *logits;
    float *sums;                   /* products of the head, or of a layer's two matrices for `callback_gates` */
    float *blocks;                 /* products of some units, a block for each thread */
    float *apart;                  /* products row by row: of all rows for `callback_gates`, else a row a thread */
    float *lines;                  /* two rows of inputs, for each thread */
    Rows seen, embedded, recurred; /* inputs of the matrices */
    long width, depth, block;      /* the largest; floats of a block */
} Step;

#define ROW_PADDING 64     /* bytes between rows: a stride of a power of two would hit few cache sets */
#define BLOCK (1L << 13)   /* floats of products whose gates are computed while they are in the cache */

static long widest(const Model *m) {
    long most = m->head.width;
    for (long i = 0; i < m->count; i++) {
        long both = m->layers[i].from_input.width + m->layers[i].from_state.width;
        most = m->layers[i].gates == OTHER && both > most ? both : most;
    }
    return most;
}

/* Floats of the products of one panel of units, for all rows. */
static long sums_of_units(const Layer *layer, long rows) {
    return rows * PANEL * known_gates[layer->gates].sums * (known_gates[layer->gates].recurrent + 1);
}

/* Panels of units whose products are computed before their gates: an even number. */
static long panels_of_block(const Layer *layer, long rows) {
    long pairs = BLOCK / (2 * sums_of_units(layer, rows));
    return 2 * (pairs ? pairs : 1);
}

/* Floats of the largest block. With fewer rows it is no larger, so that memory for some rows is enough for fewer. */
static long largest_block(const Model *m, long rows) {
    long most = 0;
    for (long i = 0; i < m->count; i++) {
        const Layer *layer = m->layers + i;
        long size = layer->gates == OTHER ? 0 : 2 * sums_of_units(layer, rows);
        size = layer->gates != OTHER && size < BLOCK ? BLOCK : size;
        most = size > most ? size : most;
    }
    return most;
}

/* Scratch memory, and the floats taken so far. With a null pointer, floats are only counted. */
typedef struct {
    float *begins;
    long taken;
} Room;

/* Take some floats; the first is at a multiple of 64 bytes from the beginning. */
static float *take(Room *room, long count) {
    float *begins = room->begins ? room->begins + room->taken : 0;
    long rounded = round_up(count, 16);
    room->taken += rounded + GAP;
    if (begins && GAP)
        GUARD(begins + count, rounded - count + GAP);
    return begins;
}

static Rows lay_out_rows(const Model *m, long rows, long size, Room *room) {
    Rows made = {.stride = round_up(bytes_of_row(size, m->kind), 64) + ROW_PADDING, .size = size, .kind = m->kind};
    made.codes = (char *)take(room, rows * made.stride / 4);
    if (m->kind == BYTE)
        made.scales = take(room, rows);
    return made;
}

static Step lay_out_step(const Model *m, long rows, long threads, Room *room) {
    Step s = {.m = m, .rows = rows, .width = widest(m)};
    s.depth = round_up(m->hidden > m->embedding_size ? m->hidden : m->embedding_size, PANEL);
    s.block = round_up(largest_block(m, rows), 16);
    s.sums = take(room, rows * s.width);
    s.blocks = take(room, threads * s.block);
    s.apart = take(room, (rows > threads ? rows : threads) * s.width);
    s.lines = take(room, 2 * threads * s.depth);
    s.seen = lay_out_rows(m, rows, m->hidden, room);
    s.embedded = lay_out_rows(m, rows, m->embedding_size, room);
    s.recurred = lay_out_rows(m, rows, m->hidden, room);
    return s;
}

#endif
