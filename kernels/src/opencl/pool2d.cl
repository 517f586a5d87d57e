// Pools over windows: NHWC input and output. A work-item computes TILE_N channels of one output. Dimension 0 runs
// over channels, 1 over the columns of the output, 2 over its rows in the whole batch (`lines`).

// The taps of a window on one axis that lie before `limit`, counted from the first padded position.
static inline int taps_before(int limit, int start, int dilation, int kernel_size) {
    const int room = limit - start;
    return room <= 0 ? 0 : min((room + dilation - 1) / dilation, kernel_size);
}

// Padding never wins. A window that sees nothing has minus infinity.
__kernel void max_pool2d(
    __global const storage *restrict input, uint input_at, int height, int width, int channels,
    __global storage *restrict output, uint output_at, int out_height, int out_width, int lines,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w, int top, int left
) {
    const int channel = get_global_id(0) * TILE_N;
    const int out_x = get_global_id(1);
    const int line = get_global_id(2);
    if (channel >= channels || out_x >= out_width || line >= lines)
        return;
    const int readable = channels - channel;
    const int image = line / out_height;
    const int y = (line - image * out_height) * stride_h;
    const int x = out_x * stride_w;
    const int end_y = taps_before(top + height, y, dilation_h, kernel_h);
    const int end_x = taps_before(left + width, x, dilation_w, kernel_w);
    input += input_at + image * height * width * channels + channel;
    row largest = (row)(-INFINITY);
    for (int ky = taps_before(top, y, dilation_h, kernel_h); ky < end_y; ++ky) {
        for (int kx = taps_before(left, x, dilation_w, kernel_w); kx < end_x; ++kx) {
            const int position = (y + ky * dilation_h - top) * width + x + kx * dilation_w - left;
            largest = max_row(largest, load_row(input + position * channels, readable));
        }
    }
    store_row(largest, output + output_at + (line * out_width + out_x) * channels + channel, readable);
}

// The sum is divided by the number of positions within the input, or if `count_padding` within input and padding.
// What hangs over the padding is never counted. A window that sees nothing averages to 0.
__kernel void avg_pool2d(
    __global const storage *restrict input, uint input_at, int height, int width, int channels,
    __global storage *restrict output, uint output_at, int out_height, int out_width, int lines,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w, int top, int left,
    int bottom, int right, int count_padding
) {
    const int channel = get_global_id(0) * TILE_N;
    const int out_x = get_global_id(1);
    const int line = get_global_id(2);
    if (channel >= channels || out_x >= out_width || line >= lines)
        return;
    const int readable = channels - channel;
    const int image = line / out_height;
    const int y = (line - image * out_height) * stride_h;
    const int x = out_x * stride_w;
    const int first_y = taps_before(top, y, dilation_h, kernel_h);
    const int first_x = taps_before(left, x, dilation_w, kernel_w);
    const int end_y = taps_before(top + height, y, dilation_h, kernel_h);
    const int end_x = taps_before(left + width, x, dilation_w, kernel_w);
    input += input_at + image * height * width * channels + channel;
    row sum = (row)(0.0f);
    for (int ky = first_y; ky < end_y; ++ky) {
        for (int kx = first_x; kx < end_x; ++kx) {
            const int position = (y + ky * dilation_h - top) * width + x + kx * dilation_w - left;
            sum += load_row(input + position * channels, readable);
        }
    }
    int rows = max(end_y - first_y, 0);
    int columns = max(end_x - first_x, 0);
    if (count_padding) {
        rows = taps_before(top + height + bottom, y, dilation_h, kernel_h);
        columns = taps_before(left + width + right, x, dilation_w, kernel_w);
    }
    const float divisor = (float)max(rows * columns, 1);
    store_row(sum / divisor, output + output_at + (line * out_width + out_x) * channels + channel, readable);
}
