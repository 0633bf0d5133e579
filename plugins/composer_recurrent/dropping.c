/* Dropout of numbers by random levels; also its gradient. It follows numbers.c. */

void drop(const number *from, const int16_t *levels, long size, long threshold, number scale, number *to) {
    int least = (int)threshold;
    TOGETHER for (long i = 0; i < size; i++) to[i] = from[i] * (levels[i] >= least ? scale : 0);
}
