/* Blocks of steps: network, draw and grammar's turn, one after the other, without Python between them.
 *
 * All three are functions of other libraries. What comes of each step is what single steps would compute.
 */

typedef int Step(const void *model, int64_t rows, const int64_t *inputs, const float *before, float *after,
                 float *logits, int64_t threads);
typedef int Turn(int64_t rows, const int64_t *state, const int64_t *tokens, int64_t *after, int64_t *inputs,
                 uint8_t *allowed);
typedef int ConstrainedTurn(int64_t rows, const void *const *bound, const int64_t *state, const int64_t *tokens,
                            const int64_t *index, const int64_t *const *past, const uint8_t *requested, int64_t *after,
                            int64_t *inputs, uint8_t *legal, int64_t *const *past_after, uint8_t *allowed);

enum { DEAD = 8, MOST_PAST = 4, KINDS = 3 };

/* Of each array that a step changes there are several places, one after the other: one for each step and one more where
   `keeps` is set, else two, taken in turn. The first place of each is given. */
typedef struct {
    Step *step;
    const void *model;
    Turn *turn;                   /* without constraints */
    ConstrainedTurn *constrained; /* with them; else null */
    const void *const *bound;
    const int32_t *kinds; /* of the operations of logits processors */
    const double *values;
    const double *uniforms;   /* (most, rows) */
    const int64_t *given;     /* (most, rows) tokens of primers, or negative */
    const uint8_t *requested; /* (rows, width) */
    int64_t *index;           /* (rows,) of the next token; counted up */
    int64_t *grammar, *inputs; /* inputs, legal and allowed: two places */
    float *state;
    uint8_t *legal, *allowed; /* (rows, width); a place of `allowed` is twice that, for scratch */
    float *logits;            /* scratch: (rows, width), width ids, 4 * width doubles */
    int32_t *ids;
    double *scratch;
    int64_t *tokens; /* (most, rows) */
    double *nats;    /* (most + 1, rows, KINDS) */
    double *costs;   /* scratch (rows, KINDS) */
    int64_t threads, keeps, most, rows, width, end; /* steps at most; width of a mask; the token that ends a piece */
    int64_t operations, numbers, columns, floats;   /* of all rows: in a place of grammar, inputs and state */
    int64_t is_dead;                                /* whether some row has no token left */
    int64_t past[MOST_PAST];                        /* the same of the arrays that constraints are told of the past */
    int64_t *pasts[MOST_PAST];
} Loop;

/* Whether a row whose token is not given has none left. */
static int is_stuck(const Loop *l, const uint8_t *allowed, const int64_t *given)
{
    for (int64_t row = 0; row < l->rows; row++, allowed += l->width)
        if (given[row] < 0 && !memchr(allowed, 1, l->width)) return 1;
    return 0;
}

/* Compute the turn after the tokens of step `t`, and return its status. */
static int take_turn(const Loop *l, const int64_t *tokens, int64_t now, int64_t next, int64_t other)
{
    const int64_t *before = l->grammar + now * l->numbers, *past[MOST_PAST];
    int64_t *after = l->grammar + next * l->numbers, *inputs = l->inputs + other * l->columns, *past_after[MOST_PAST];
    uint8_t *legal = l->legal + other * l->rows * l->width, *allowed = l->allowed + 2 * other * l->rows * l->width;
    if (!l->constrained) return l->turn(l->rows, before, tokens, after, inputs, legal);
    for (int which = 0; which < MOST_PAST; which++) {
        past[which] = l->pasts[which] + now * l->past[which];
        past_after[which] = l->pasts[which] + next * l->past[which];
    }
    return l->constrained(l->rows, l->bound, before, tokens, l->index, past, l->requested, after, inputs, legal,
                          past_after, allowed);
}

/* Take steps, until there are `most`, or a piece has ended, or what comes next is for Python to see: a row at a dead end,
   a model without probabilities, or whatever fails. Return how many were taken. */
int64_t take_steps(Loop *l)
{
    for (int64_t t = 0; t < l->most; t++) {
        int64_t now = l->keeps ? t : t & 1, next = l->keeps ? t + 1 : (t + 1) & 1, here = t & 1, ended = 0;
        const int64_t *given = l->given + t * l->rows;
        const uint8_t *legal = l->legal + here * l->rows * l->width;
        const uint8_t *allowed = l->constrained ? l->allowed + 2 * here * l->rows * l->width : legal;
        int64_t *tokens = l->tokens + t * l->rows;
        if (l->is_dead && is_stuck(l, allowed, given)) return t;
        if (l->step(l->model, l->rows, l->inputs + here * l->columns, l->state + now * l->floats,
                    l->state + next * l->floats, l->logits, l->threads))
            return t;
        if (choose_tokens(l->rows, l->width, l->logits, allowed, l->constrained ? legal : 0, l->operations, l->kinds,
                          l->values, l->uniforms + t * l->rows, given, l->ids, l->scratch, tokens, l->costs))
            return t;
        for (int64_t row = 0; row < l->rows; row++) l->index[row]++;
        int status = take_turn(l, tokens, now, next, here ^ 1);
        if (status & ~DEAD) return t;
        l->is_dead = status & DEAD;
        double *nats = l->nats + t * l->rows * KINDS, *after = nats + l->rows * KINDS;
        for (int64_t i = 0; i < l->rows * KINDS; i++) after[i] = nats[i] + l->costs[i];
        for (int64_t row = 0; row < l->rows; row++) ended |= tokens[row] == l->end;
        if (ended) return t + 1;
    }
    return l->most;
}
