// Convolution: NHWC input, NHWC output, OHWI weights packed by pack.cl as [group][taps][columns], where a tap is
// one (row, column, channel) of the window and `columns` is the number of the group's output channels rounded up
// to a multiple of TILE_N.
//
// A matrix product whose left side is not stored: a tile is TILE_M pixels by TILE_N output channels, and the taps
// of its pixels are read where they are. Dimension 0 runs over output channels, 1 over pixels of the whole batch,
// 2 over groups.
//
// Taps in the padding are left out, not multiplied by zero: a weight may be infinite.

struct convolution {
    int height, width, channels;  // of the input
    int group_in;                 // input channels of a group
    int kernel_h, kernel_w, dilation_h, dilation_w;
    int columns;
};

// Adds `run` neighbouring taps of every pixel: those that begin at `from` in the input. Unless it is `whole`, only
// of the pixels that are inside.
static inline void add_run(
    __global const storage *input, const int *from, const int *inside, const int whole,
    __global const storage *weights, int columns, int run, row *sum
) {
    int i = 0;
    for (; i + 4 <= run; i += 4) {
        const row w_0 = LOAD_ROW(weights, 0);
        const row w_1 = LOAD_ROW(weights, columns);
        const row w_2 = LOAD_ROW(weights, 2 * columns);
        const row w_3 = LOAD_ROW(weights, 3 * columns);
        weights += 4 * columns;
#pragma unroll
        for (int r = 0; r < TILE_M; ++r) {
            const float4 x = LOAD4(input, from[r] + i);
            row added = MULTIPLY_ADD((row)(x.s0), w_0, sum[r]);
            added = MULTIPLY_ADD((row)(x.s1), w_1, added);
            added = MULTIPLY_ADD((row)(x.s2), w_2, added);
            added = MULTIPLY_ADD((row)(x.s3), w_3, added);
            sum[r] = whole || inside[r] ? added : sum[r];
        }
    }
    for (; i < run; ++i) {
        const row w = LOAD_ROW(weights, 0);
        weights += columns;
#pragma unroll
        for (int r = 0; r < TILE_M; ++r) {
            const row added = MULTIPLY_ADD((row)(LOAD(input, from[r] + i)), w, sum[r]);
            sum[r] = whole || inside[r] ? added : sum[r];
        }
    }
}

// Adds the products of the windows that begin at row y[r] and column x[r] of image n[r]; y and x may be in the
// padding.
static inline void add_windows(
    const struct convolution *c, __global const storage *input, const int *n, const int *y, const int *x,
    __global const storage *weights, row *sum
) {
    int at[TILE_M];
    // Where no pixel of the tile sees a column of padding, the taps of a row are neighbours in memory, if there is
    // one group and no dilation: one run.
    int joined = c->dilation_w == 1 && c->group_in == c->channels;
#pragma unroll
    for (int r = 0; r < TILE_M; ++r) {
        at[r] = ((n[r] * c->height + y[r]) * c->width + x[r]) * c->channels;
        joined = joined && x[r] >= 0 && x[r] + c->kernel_w <= c->width;
    }
    const int step = joined ? c->kernel_w : 1;
    const int run = step * c->group_in;
    for (int ky = 0; ky < c->kernel_h; ++ky) {
        for (int kx = 0; kx < c->kernel_w; kx += step) {
            const int down = ky * c->dilation_h;
            const int right = kx * c->dilation_w;
            int from[TILE_M], inside[TILE_M];
            int all = 1, any = 0;
#pragma unroll
            for (int r = 0; r < TILE_M; ++r) {
                inside[r] = (uint)(y[r] + down) < (uint)c->height && (uint)(x[r] + right) < (uint)c->width;
                // A pixel that is outside reads the first pixel, for nothing.
                from[r] = inside[r] ? at[r] + (down * c->width + right) * c->channels : 0;
                all &= inside[r];
                any |= inside[r];
            }
            if (all)
                add_run(input, from, inside, 1, weights, c->columns, run, sum);
            else if (any)
                add_run(input, from, inside, 0, weights, c->columns, run, sum);
            weights += run * c->columns;
        }
    }
}

__kernel void conv2d(
    __global const storage *restrict input, uint input_at, int height, int width, int channels,
    __global const storage *restrict weights, uint weights_at, int columns,
    __global const storage *restrict bias, uint bias_at, int has_bias,
    __global storage *restrict output, uint output_at, int out_height, int out_width, int out_channels,
    int pixels, int group_in, int group_out,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w, int top, int left,
    float low, float high
) {
    const int column = get_global_id(0) * TILE_N;
    const int first = get_global_id(1) * TILE_M;
    const int group = get_global_id(2);
    if (column >= group_out || first >= pixels)
        return;
    const struct convolution c = {
        height, width, channels, group_in, kernel_h, kernel_w, dilation_h, dilation_w, columns
    };
    const int channel = group * group_out + column;
    row start = (row)(0.0f);
    if (has_bias)
        start = load_row(bias + bias_at + channel, group_out - column);
    int n[TILE_M], y[TILE_M], x[TILE_M];
    row sum[TILE_M];
#pragma unroll
    for (int r = 0; r < TILE_M; ++r) {
        // Pixels beyond the last are the last one again: computed, not stored.
        const int pixel = min(first + r, pixels - 1);
        const int line = pixel / out_width;
        n[r] = line / out_height;
        y[r] = (line - n[r] * out_height) * stride_h - top;
        x[r] = (pixel - line * out_width) * stride_w - left;
        sum[r] = start;
    }
    input += input_at + group * group_in;
    weights += weights_at + group * kernel_h * kernel_w * group_in * columns + column;
    add_windows(&c, input, n, y, x, weights, sum);
    output += output_at + channel;
#pragma unroll
    for (int r = 0; r < TILE_M; ++r)
        if (first + r < pixels)
            store_row(clamp_row(sum[r], low, high), output + (first + r) * out_channels, group_out - column);
}

// Convolution and the maximum over windows of its output that do not overlap: a work-item computes TILE_N channels
// of one window, TILE_M of its positions at a time. Extents out_* are those of the convolution's output, which is
// not stored; the pool's output has pooled_height x pooled_width positions in each image, `pixels` in all.
__kernel void conv2d_max_pool2d(
    __global const storage *restrict input, uint input_at, int height, int width, int channels,
    __global const storage *restrict weights, uint weights_at, int columns,
    __global const storage *restrict bias, uint bias_at, int has_bias,
    __global storage *restrict output, uint output_at, int out_height, int out_width, int out_channels,
    int pixels, int group_in, int group_out,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w, int top, int left,
    float low, float high,
    int pooled_height, int pooled_width, int pool_h, int pool_w, int pool_stride_h, int pool_stride_w
) {
    const int column = get_global_id(0) * TILE_N;
    const int pixel = get_global_id(1);
    const int group = get_global_id(2);
    if (column >= group_out || pixel >= pixels)
        return;
    const struct convolution c = {
        height, width, channels, group_in, kernel_h, kernel_w, dilation_h, dilation_w, columns
    };
    const int channel = group * group_out + column;
    row start = (row)(0.0f);
    if (has_bias)
        start = load_row(bias + bias_at + channel, group_out - column);
    input += input_at + group * group_in;
    weights += weights_at + group * kernel_h * kernel_w * group_in * columns + column;

    // A window may hang over the end.
    const int line = pixel / pooled_width;
    const int image = line / pooled_height;
    const int first_y = (line - image * pooled_height) * pool_stride_h;
    const int first_x = (pixel - line * pooled_width) * pool_stride_w;
    const int seen_w = min(pool_w, out_width - first_x);
    const int positions = min(pool_h, out_height - first_y) * seen_w;
    row largest = (row)(-INFINITY);
    for (int first = 0; first < positions; first += TILE_M) {
        int n[TILE_M], y[TILE_M], x[TILE_M];
        row sum[TILE_M];
#pragma unroll
        for (int r = 0; r < TILE_M; ++r) {
            // Positions beyond the last are the last one again, which changes no maximum.
            const int position = min(first + r, positions - 1);
            const int down = position / seen_w;
            n[r] = image;
            y[r] = (first_y + down) * stride_h - top;
            x[r] = (first_x + position - down * seen_w) * stride_w - left;
            sum[r] = start;
        }
        add_windows(&c, input, n, y, x, weights, sum);
#pragma unroll
        for (int r = 0; r < TILE_M; ++r)
            largest = max_row(largest, clamp_row(sum[r], low, high));
    }
    store_row(largest, output + output_at + pixel * out_channels + channel, group_out - column);
}
