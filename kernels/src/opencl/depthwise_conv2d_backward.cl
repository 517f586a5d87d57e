// Gradients of a depthwise convolution: channel by channel, without a matrix.
//
// input, d_input [samples, in_height, in_width, channels]
// d_output       [samples, out_height, out_width, channels]
// weights        [channels, kernel_h, kernel_w], as the model has them

// Each value of the input gathers what the outputs that it is part of give back.
// Work-items: channel, pixel of the input in all samples.
__kernel void depthwise_conv2d_backward_input(
    __global const float *d_output, uint d_output_at, __global const float *weights, uint weights_at,
    __global float *d_input, uint d_input_at,
    int pixels, int in_height, int in_width, int channels, int out_height, int out_width,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
    int padding_top, int padding_left) {
    const int channel = get_global_id(0), pixel = get_global_id(1);
    if (channel >= channels || pixel >= pixels) {
        return;
    }
    d_output += d_output_at;
    weights += weights_at + channel * kernel_h * kernel_w;
    const int row = pixel / in_width, x = pixel - row * in_width;
    const int sample = row / in_height, y = row - sample * in_height;
    float sum = 0.0f;
    for (int tap_y = kernel_h - 1; tap_y >= 0; --tap_y) {
        const int out_y = window_from(y + padding_top - tap_y * dilation_h, stride_h, out_height);
        if (out_y < 0) {
            continue;
        }
        for (int tap_x = kernel_w - 1; tap_x >= 0; --tap_x) {
            const int out_x = window_from(x + padding_left - tap_x * dilation_w, stride_w, out_width);
            if (out_x < 0) {
                continue;
            }
            const int out_pixel = (sample * out_height + out_y) * out_width + out_x;
            sum += d_output[out_pixel * channels + channel] * weights[tap_y * kernel_w + tap_x];
        }
    }
    d_input[d_input_at + pixel * channels + channel] = sum;
}

// Sums over one chunk of the rows of the output; add_partials adds up the chunks.
// partials [chunks, channels, kernel_h, kernel_w]
// Work-items: channel, tap, chunk. `rows` counts the output's rows in all samples.
__kernel void depthwise_conv2d_backward_weights(
    __global const float *input, uint input_at, __global const float *d_output, uint d_output_at,
    __global float *partials, uint partials_at, int rows, int rows_in_chunk,
    int in_height, int in_width, int channels, int out_height, int out_width,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
    int padding_top, int padding_left) {
    const int channel = get_global_id(0), tap = get_global_id(1), chunk = get_global_id(2);
    const int taps = kernel_h * kernel_w, first = chunk * rows_in_chunk;
    if (channel >= channels || tap >= taps || first >= rows) {
        return;
    }
    input += input_at + channel;
    d_output += d_output_at + channel;
    const int last = min(first + rows_in_chunk, rows);
    const int tap_y = tap / kernel_w, tap_x = tap - tap_y * kernel_w;
    float sum = 0.0f;
    for (int row = first; row < last; ++row) {
        const int sample = row / out_height, out_y = row - sample * out_height;
        const int y = out_y * stride_h + tap_y * dilation_h - padding_top;
        if (y < 0 || y >= in_height) {
            continue;
        }
        float row_sum = 0.0f;
        for (int out_x = 0; out_x < out_width; ++out_x) {
            const int x = out_x * stride_w + tap_x * dilation_w - padding_left;
            if (x >= 0 && x < in_width) {
                row_sum += d_output[(row * out_width + out_x) * channels]
                    * input[((sample * in_height + y) * in_width + x) * channels];
            }
        }
        sum += row_sum;
    }
    partials[partials_at + (chunk * channels + channel) * taps + tap] = sum;
}
