// Sums over many values in two stages, so that there is work for many and the order is always the same: sums over
// chunks of a fixed number of rows, then the sum of those in their order.

// partials[chunk][column] = sum over the chunk's rows of input[row][column]
// input [rows, columns], partials [chunks, columns]. Work-items: column, chunk.
__kernel void column_sums(
    __global const float *input, uint input_at, __global float *partials, uint partials_at,
    int rows, int columns, int rows_in_chunk) {
    const int column = get_global_id(0), chunk = get_global_id(1), first = chunk * rows_in_chunk;
    if (column >= columns || first >= rows) {
        return;
    }
    input += input_at + column;
    const int last = min(first + rows_in_chunk, rows);
    float sum = 0.0f;
    for (int row = first; row < last; ++row) {
        sum += input[row * columns];
    }
    partials[partials_at + chunk * columns + column] = sum;
}

// output[column] = (start + sum over chunks of partials[chunk][column]) / divisor
// It starts with 0, or if `add`, with what the output holds.
// Each addition's error is carried into the next (Kahan): the mean of many values far from 0 needs it.
// Work-items: column.
__kernel void add_partials(
    __global const float *partials, uint partials_at, __global float *output, uint output_at,
    int chunks, int columns, int add, float divisor) {
    const int column = get_global_id(0);
    if (column >= columns) {
        return;
    }
    partials += partials_at + column;
    output += output_at + column;
    float sum = add ? *output : 0.0f, excess = 0.0f;
    for (int chunk = 0; chunk < chunks; ++chunk) {
        const float term = partials[chunk * columns] - excess;
        const float next = sum + term;
        excess = (next - sum) - term;
        sum = next;
    }
    *output = sum / divisor;
}
