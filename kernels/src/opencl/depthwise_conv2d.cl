// Depthwise convolution, one input and one output channel to a group: NHWC input and output, weights packed by
// pack.cl as [taps][columns], where `columns` is the number of channels rounded up to a multiple of TILE_N.
//
// A work-item computes TILE_N channels of TILE_M neighbouring pixels of a row, so that a weight is loaded once for
// all of them. Dimension 0 runs over channels, 1 over the tiles of a row, 2 over the rows of the whole batch.
//
// Taps in the padding are left out, not multiplied by zero: a weight may be infinite.

struct depthwise {
    int height, width, channels;
    int kernel_h, kernel_w, dilation_h, dilation_w;
    int columns;
};

// Adds the products of the windows that begin at row `y` and columns x[r] of an image; both may be in the padding.
// Only the first `readable` channels of a tile are there.
static inline void add_windows(
    const struct depthwise *c, __global const storage *image, int y, const int *x, int readable,
    __global const storage *weights, row *sum
) {
    int whole = 1;
#pragma unroll
    for (int r = 0; r < TILE_M; ++r)
        whole = whole && x[r] >= 0 && x[r] + (c->kernel_w - 1) * c->dilation_w < c->width;
    for (int ky = 0; ky < c->kernel_h; ++ky) {
        const int in_y = y + ky * c->dilation_h;
        if (in_y < 0 || in_y >= c->height)
            continue;
        __global const storage *line = image + in_y * c->width * c->channels;
        for (int kx = 0; kx < c->kernel_w; ++kx) {
            const row w = LOAD_ROW(weights, (ky * c->kernel_w + kx) * c->columns);
            const int right = kx * c->dilation_w;
#pragma unroll
            for (int r = 0; r < TILE_M; ++r) {
                const int in_x = x[r] + right;
                if (whole || (in_x >= 0 && in_x < c->width))
                    sum[r] = MULTIPLY_ADD(load_row(line + in_x * c->channels, readable), w, sum[r]);
            }
        }
    }
}

__kernel void depthwise_conv2d(
    __global const storage *restrict input, uint input_at, int height, int width, int channels,
    __global const storage *restrict weights, uint weights_at, int columns,
    __global const storage *restrict bias, uint bias_at, int has_bias,
    __global storage *restrict output, uint output_at, int out_height, int out_width,
    int lines,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w, int top, int left,
    float low, float high
) {
    const int channel = get_global_id(0) * TILE_N;
    const int first = get_global_id(1) * TILE_M;
    const int line = get_global_id(2);
    if (channel >= channels || first >= out_width || line >= lines)
        return;
    const struct depthwise c = {height, width, channels, kernel_h, kernel_w, dilation_h, dilation_w, columns};
    const int readable = channels - channel;
    const int image = line / out_height;
    const int y = (line - image * out_height) * stride_h - top;
    row start = (row)(0.0f);
    if (has_bias)
        start = load_row(bias + bias_at + channel, readable);
    int x[TILE_M];
    row sum[TILE_M];
#pragma unroll
    for (int r = 0; r < TILE_M; ++r) {
        // Pixels beyond the last are the last one again: computed, not stored.
        x[r] = min(first + r, out_width - 1) * stride_w - left;
        sum[r] = start;
    }
    input += input_at + image * height * width * channels + channel;
    add_windows(&c, input, y, x, readable, weights + weights_at + channel, sum);
    output += output_at + (line * out_width + first) * channels + channel;
#pragma unroll
    for (int r = 0; r < TILE_M; ++r)
        if (first + r < out_width)
            store_row(clamp_row(sum[r], low, high), output + r * channels, readable);
}

// Depthwise convolution and the maximum over windows of its output that do not overlap: a work-item computes
// TILE_N channels of one window, TILE_M of its columns at a time. Extents out_* are those of the convolution's
// output, which is not stored; `lines` counts the rows of the pool's output in the whole batch.
__kernel void depthwise_conv2d_max_pool2d(
    __global const storage *restrict input, uint input_at, int height, int width, int channels,
    __global const storage *restrict weights, uint weights_at, int columns,
    __global const storage *restrict bias, uint bias_at, int has_bias,
    __global storage *restrict output, uint output_at, int out_height, int out_width,
    int lines,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w, int top, int left,
    float low, float high,
    int pooled_height, int pooled_width, int pool_h, int pool_w, int pool_stride_h, int pool_stride_w
) {
    const int channel = get_global_id(0) * TILE_N;
    const int pooled_x = get_global_id(1);
    const int line = get_global_id(2);
    if (channel >= channels || pooled_x >= pooled_width || line >= lines)
        return;
    const struct depthwise c = {height, width, channels, kernel_h, kernel_w, dilation_h, dilation_w, columns};
    const int readable = channels - channel;
    const int image = line / pooled_height;
    row start = (row)(0.0f);
    if (has_bias)
        start = load_row(bias + bias_at + channel, readable);
    input += input_at + image * height * width * channels + channel;
    weights += weights_at + channel;

    // A window may hang over the end.
    const int first_y = (line - image * pooled_height) * pool_stride_h;
    const int first_x = pooled_x * pool_stride_w;
    const int end_y = min(first_y + pool_h, out_height);
    const int end_x = min(first_x + pool_w, out_width);
    row largest = (row)(-INFINITY);
    for (int out_y = first_y; out_y < end_y; ++out_y) {
        for (int out_x = first_x; out_x < end_x; out_x += TILE_M) {
            int x[TILE_M];
            row sum[TILE_M];
#pragma unroll
            for (int r = 0; r < TILE_M; ++r) {
                // Columns beyond the last are the last one again, which changes no maximum.
                x[r] = min(out_x + r, end_x - 1) * stride_w - left;
                sum[r] = start;
            }
            add_windows(&c, input, out_y * stride_h - top, x, readable, weights, sum);
#pragma unroll
            for (int r = 0; r < TILE_M; ++r)
                largest = max_row(largest, clamp_row(sum[r], low, high));
        }
    }
    store_row(largest, output + output_at + (line * pooled_width + pooled_x) * channels + channel, readable);
}
