// Gradients of pools. Each value of the input gathers from the windows that it is in, in their order.
//
// input, d_input [samples, in_height, in_width, channels]
// d_output       [samples, out_height, out_width, channels]
// Work-items of both: channel, pixel of the input in all samples.

// Whether tap (own_y, own_x), which holds `value`, is the first maximum of the window from (top, left) on; a NaN is a
// maximum. `input` is the sample's first value of the channel.
inline int is_first_maximum(
    float value, int own_y, int own_x, __global const float *input, int top, int left,
    int in_height, int in_width, int channels, int kernel_h, int kernel_w, int dilation_h, int dilation_w) {
    int is_first = 1;
    for (int tap_y = 0; tap_y < kernel_h; ++tap_y) {
        const int y = top + tap_y * dilation_h;
        if (y < 0 || y >= in_height) {
            continue;
        }
        for (int tap_x = 0; tap_x < kernel_w; ++tap_x) {
            const int x = left + tap_x * dilation_w;
            if (x < 0 || x >= in_width) {
                continue;
            }
            const float other = input[(y * in_width + x) * channels];
            const int exceeds = value > other || (isnan(value) && !isnan(other));
            const int is_exceeded = other > value || (isnan(other) && !isnan(value));
            const int is_before = tap_y < own_y || (tap_y == own_y && tap_x < own_x);
            is_first &= is_before ? exceeds : !is_exceeded;
        }
    }
    return is_first;
}

// The gradient of each output goes to the first position, in row-major order, that holds the maximum.
__kernel void max_pool2d_backward(
    __global const float *input, uint input_at, __global const float *d_output, uint d_output_at,
    __global float *d_input, uint d_input_at,
    int pixels, int in_height, int in_width, int channels, int out_height, int out_width,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
    int padding_top, int padding_left) {
    const int channel = get_global_id(0), pixel = get_global_id(1);
    if (channel >= channels || pixel >= pixels) {
        return;
    }
    const int row = pixel / in_width, x = pixel - row * in_width;
    const int sample = row / in_height, y = row - sample * in_height;
    input += input_at + sample * in_height * in_width * channels + channel;
    d_output += d_output_at + sample * out_height * out_width * channels + channel;
    const float value = input[(y * in_width + x) * channels];
    float sum = 0.0f;
    const int last_y = last_window(y + padding_top, stride_h, out_height);
    const int last_x = last_window(x + padding_left, stride_w, out_width);
    const int first_y = first_window(y + padding_top, (kernel_h - 1) * dilation_h + 1, stride_h);
    const int first_x = first_window(x + padding_left, (kernel_w - 1) * dilation_w + 1, stride_w);
    for (int out_y = first_y; out_y <= last_y; ++out_y) {
        const int tap_y = tap_at(y + padding_top - out_y * stride_h, dilation_h);
        if (tap_y < 0) {
            continue;
        }
        for (int out_x = first_x; out_x <= last_x; ++out_x) {
            const int tap_x = tap_at(x + padding_left - out_x * stride_w, dilation_w);
            if (tap_x < 0) {
                continue;
            }
            const int is_first = is_first_maximum(
                value, tap_y, tap_x, input, y - tap_y * dilation_h, x - tap_x * dilation_w, in_height, in_width,
                channels, kernel_h, kernel_w, dilation_h, dilation_w);
            sum += is_first ? d_output[(out_y * out_width + out_x) * channels] : 0.0f;
        }
    }
    d_input[d_input_at + pixel * channels + channel] = sum;
}

// Taps of the window from `start` on that lie in from..to.
inline int taps_within(int start, int kernel_extent, int dilation, int from, int to) {
    int taps = 0;
    for (int tap = 0; tap < kernel_extent; ++tap) {
        const int position = start + tap * dilation;
        taps += position >= from && position < to;
    }
    return taps;
}

// An average divides by the taps within rows -count_top..in_height + count_bottom, likewise for columns: the
// padding where it counts, else 0.
__kernel void avg_pool2d_backward(
    __global const float *d_output, uint d_output_at, __global float *d_input, uint d_input_at,
    int pixels, int in_height, int in_width, int channels, int out_height, int out_width,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
    int padding_top, int padding_left, int count_top, int count_bottom, int count_left, int count_right) {
    const int channel = get_global_id(0), pixel = get_global_id(1);
    if (channel >= channels || pixel >= pixels) {
        return;
    }
    const int row = pixel / in_width, x = pixel - row * in_width;
    const int sample = row / in_height, y = row - sample * in_height;
    d_output += d_output_at + sample * out_height * out_width * channels + channel;
    float sum = 0.0f;
    const int last_y = last_window(y + padding_top, stride_h, out_height);
    const int last_x = last_window(x + padding_left, stride_w, out_width);
    const int first_y = first_window(y + padding_top, (kernel_h - 1) * dilation_h + 1, stride_h);
    const int first_x = first_window(x + padding_left, (kernel_w - 1) * dilation_w + 1, stride_w);
    for (int out_y = first_y; out_y <= last_y; ++out_y) {
        const int tap_y = tap_at(y + padding_top - out_y * stride_h, dilation_h);
        if (tap_y < 0) {
            continue;
        }
        const int rows = taps_within(
            y - tap_y * dilation_h, kernel_h, dilation_h, -count_top, in_height + count_bottom);
        for (int out_x = first_x; out_x <= last_x; ++out_x) {
            const int tap_x = tap_at(x + padding_left - out_x * stride_w, dilation_w);
            if (tap_x < 0) {
                continue;
            }
            const int columns = taps_within(
                x - tap_x * dilation_w, kernel_w, dilation_w, -count_left, in_width + count_right);
            sum += d_output[(out_y * out_width + out_x) * channels] / (float)(rows * columns);
        }
    }
    d_input[d_input_at + pixel * channels + channel] = sum;
}
