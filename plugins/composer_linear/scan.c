/* The recurrence h[t] = decay[t] * h[t - 1] + fresh[t] of each unit of each row, and its gradients. It follows
   numbers.c. Arrays are (B, T, H), `before` and `d_before` (B, H). */

void scan(long rows, long places, long width, const number *decay, const number *fresh, const number *before,
          number *hidden) {
    for (long row = 0; row < rows; row++) {
        const number *last = before + row * width;
        for (long place = 0; place < places; place++) {
            long at = (row * places + place) * width;
            const number *restrict a = decay + at, *restrict b = fresh + at, *h = last;
            number *restrict to = hidden + at;
            TOGETHER for (long i = 0; i < width; i++) to[i] = a[i] * h[i] + b[i];
            last = to;
        }
    }
}

/* `d_fresh` holds the gradient of `hidden`, and then that of `fresh`. */
void scan_back(long rows, long places, long width, const number *decay, const number *hidden, const number *before,
               number *d_decay, number *d_fresh, number *d_before) {
    for (long row = 0; row < rows; row++) {
        for (long place = places - 1; place >= 0; place--) {
            long at = (row * places + place) * width;
            const number *restrict a = decay + at, *h = place ? hidden + at - width : before + row * width;
            number *restrict d = d_fresh + at, *restrict d_a = d_decay + at;
            number *earlier = place ? d - width : d_before + row * width;
            if (!place)
                memset(earlier, 0, width * sizeof(number));
            TOGETHER for (long i = 0; i < width; i++) {
                d_a[i] = d[i] * h[i];
                earlier[i] += d[i] * a[i];
            }
        }
    }
}
