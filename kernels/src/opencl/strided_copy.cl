// Copies between tensors of different shapes, and what surrounds them.

// Three loops within each other, each with a step in either tensor: element (row, column, i) of the box.
// input [batch, input_len], output [batch, output_len]; the box begins at `start_from` and `start_to`.
// Work-items: element of the box, sample.
__kernel void strided_copy(
    __global const storage *input, uint input_at, __global storage *output, uint output_at,
    int batch, int input_len, int output_len, int start_from, int start_to, int rows, int columns, int run,
    int row_from, int column_from, int run_from, int row_to, int column_to, int run_to) {
    const int element = get_global_id(0);
    const int sample = get_global_id(1);
    if (element >= rows * columns * run || sample >= batch)
        return;
    const int column_of_all = element / run;
    const int row = column_of_all / columns;
    const int column = column_of_all - row * columns;
    const int i = element - column_of_all * run;
    const int from = sample * input_len + start_from + row * row_from + column * column_from + i * run_from;
    const int to = sample * output_len + start_to + row * row_to + column * column_to + i * run_to;
    STORE(LOAD(input, input_at + from), output, output_at + to);
}

// output [count] = value. Work-items: element.
__kernel void fill(__global storage *output, uint output_at, int count, float value) {
    const int i = get_global_id(0);
    if (i < count)
        STORE(value, output, output_at + i);
}
