/* Dropout of numbers by random levels; also its gradient, and the levels. It follows numbers.c. */

void drop(const number *from, const int16_t *levels, long size, long threshold, number scale, number *to) {
    int least = (int)threshold;
    TOGETHER for (long i = 0; i < size; i++) to[i] = from[i] * (levels[i] >= least ? scale : 0);
}

void drop_low(const uint16_t *from, const int16_t *levels, long size, long threshold, number scale, uint16_t *to) {
    int least = (int)threshold;
    TOGETHER for (long i = 0; i < size; i++) to[i] = narrow_one(widen_one(from[i]) * (levels[i] >= least ? scale : 0));
}

/* Mix all bits of a number (lowbias32, Wellons 2018). */
static inline uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7FEB352D;
    x = (x ^ x >> 15) * 0x846CA68B;
    return x ^ x >> 16;
}

/* Fill pairs of levels, each a function of the seed and of its place. */
void fill_levels(uint64_t seed, long pairs, uint32_t *restrict to) {
    uint32_t low = (uint32_t)seed, high = (uint32_t)(seed >> 32);
    TOGETHER for (long i = 0; i < pairs; i++) to[i] = mix(mix((uint32_t)i + low) ^ high);
}
