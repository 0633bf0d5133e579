/* Arguments are validated before any access: sizes that do not fit one another or the scratch memory, and columns beyond
   their tables, are refused. */

#ifndef CHECKS_H
#define CHECKS_H

#include "model.h"
#include "vectors.h"

#define MOST_WIDTH (1L << 24) /* of a layer, an embedding and the output: their products fit into a long */
#define MOST_LAYERS (1L << 12)
#define MOST_PARTS 16
#define MOST_STEP_ROWS (1L << 18) /* rows of a step */
#define MOST_REQUESTED 64         /* threads; without thread support, one does all */
#define MOST_EMBEDDINGS (1L << 36)

static int between(long least, long value, long most) { return least <= value && value <= most; }

/* Whether a matrix has `width` outputs and `depth` inputs; for a width of 0, whether there is no matrix. */
static int is_matrix_valid(const Model *m, const Matrix *matrix, long width, long depth) {
    if (matrix->width != round_up(width, BOTH) || !width)
        return !matrix->width && !width;
    int kind = matrix->kind == HALF && READS_HALVES ? FLOAT : matrix->kind;
    if (kind == BYTE && (!matrix->scales || !matrix->zero_point))
        return 0;
    return between(FLOAT, kind, BYTE) && kind == m->kind && matrix->weights && matrix->depth == pad_depth(depth, kind);
}

static int is_layer_valid(const Model *m, long number) {
    const Layer *layer = m->layers + number;
    const Matrix *from_input = &layer->from_input, *from_state = &layer->from_state;
    if (!between(OTHER, layer->gates, MINLSTM) || !from_input->bias || (from_state->width && !from_state->bias))
        return 0;
    long width = from_input->width, state_width = from_state->width;
    if (layer->gates == OTHER) {
        if (!m->update || !between(1, width, 16 * MOST_WIDTH) || !between(0, state_width, 16 * MOST_WIDTH))
            return 0;
    } else {
        width = known_gates[layer->gates].sums * round_up(m->hidden, BOTH);
        state_width = known_gates[layer->gates].recurrent ? width : 0;
        if (m->parts != known_gates[layer->gates].parts)
            return 0;
    }
    return is_matrix_valid(m, from_input, width, number ? m->hidden : m->embedding_size) &&
           is_matrix_valid(m, from_state, state_width, m->hidden);
}

static int are_tables_valid(const Model *m) {
    if (!m->embedding || !m->offsets || !m->sizes || !between(1, m->embeddings, MOST_EMBEDDINGS) ||
        !between(FLOAT, m->embedding_kind, READS_HALVES ? HALF : FLOAT))
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

/* Whether a column of a row is beyond its table. */
static int is_column_beyond(const Model *m, long rows, const int64_t *columns) {
    uint64_t beyond = 0;
    for (long row = 0; row < rows; row++)
        for (long column = 0; column < m->columns; column++) {
            uint64_t number = (uint64_t)columns[row * m->columns + column];
            beyond |= number | ((uint64_t)m->sizes[column] - 1 - number); /* has the sign bit if one is negative */
        }
    return beyond >> 63;
}

#endif
