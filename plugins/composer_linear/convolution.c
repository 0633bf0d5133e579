/* A weighted sum of each channel's last four steps, then perhaps silu, and its gradients. It follows numbers.c. Arrays are
   (B, T, C), `seen` and `d_seen` (B, T + 3, C): with the three steps before the first. Weights are (4, C). */

enum { REACH = 4 };

void convolve(long rows, long places, long channels, long activated, const number *seen, const number *weight,
              const number *bias, number *made) {
    const number *w0 = weight, *w1 = w0 + channels, *w2 = w1 + channels, *w3 = w2 + channels;
    for (long row = 0; row < rows; row++) {
        for (long place = 0; place < places; place++) {
            const number *s0 = seen + (row * (places + REACH - 1) + place) * channels;
            const number *s1 = s0 + channels, *s2 = s1 + channels, *s3 = s2 + channels;
            number *restrict to = made + (row * places + place) * channels;
            if (activated)
                TOGETHER for (long i = 0; i < channels; i++) {
                    number sum = bias[i] + w0[i] * s0[i] + w1[i] * s1[i] + w2[i] * s2[i] + w3[i] * s3[i];
                    to[i] = sum * sigmoid_of(sum);
                }
            else
                TOGETHER for (long i = 0; i < channels; i++)
                    to[i] = bias[i] + w0[i] * s0[i] + w1[i] * s1[i] + w2[i] * s2[i] + w3[i] * s3[i];
        }
    }
}

/* `d_sum` (C) is room; the gradients of weights and bias are added to. */
void convolve_back(long rows, long places, long channels, long activated, const number *seen, const number *weight,
                   const number *bias, const number *d_made, number *d_seen, number *d_weight, number *d_bias,
                   number *d_sum) {
    const number *w0 = weight, *w1 = w0 + channels, *w2 = w1 + channels, *w3 = w2 + channels;
    number *restrict v0 = d_weight, *restrict v1 = v0 + channels, *restrict v2 = v1 + channels;
    number *restrict v3 = v2 + channels, *restrict to_bias = d_bias, *restrict d = d_sum;
    for (long row = 0; row < rows; row++) {
        long first = row * (places + REACH - 1) * channels;
        memset(d_seen + first, 0, (REACH - 1) * channels * sizeof(number));
        for (long place = 0; place < places; place++) {
            const number *s0 = seen + first + place * channels, *heard = d_made + (row * places + place) * channels;
            const number *s1 = s0 + channels, *s2 = s1 + channels, *s3 = s2 + channels;
            number *restrict d0 = d_seen + first + place * channels, *restrict d1 = d0 + channels;
            number *restrict d2 = d1 + channels, *restrict d3 = d2 + channels;
            if (activated)
                TOGETHER for (long i = 0; i < channels; i++) {
                    number sum = bias[i] + w0[i] * s0[i] + w1[i] * s1[i] + w2[i] * s2[i] + w3[i] * s3[i];
                    number open = sigmoid_of(sum);
                    d[i] = heard[i] * open * (1 + sum * (1 - open));
                }
            else
                memcpy(d, heard, channels * sizeof(number));
            TOGETHER for (long i = 0; i < channels; i++) {
                v0[i] += d[i] * s0[i], v1[i] += d[i] * s1[i], v2[i] += d[i] * s2[i], v3[i] += d[i] * s3[i];
                to_bias[i] += d[i];
                d0[i] += d[i] * w0[i], d1[i] += d[i] * w1[i], d2[i] += d[i] * w2[i], d3[i] = d[i] * w3[i];
            }
        }
    }
}
