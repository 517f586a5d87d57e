// Steps of the optimizers in the form that PyTorch documents, and the average of a network's values.
//
// What changes from step to step stands in `rates`, so that launches can be repeated as they are:
// rates [5]: learning rate, momentum (of Adam beta1), correction of the root (Adam alone), decay of the average, what the
// decay of weights leaves of each (AdamW alone).
// No step is taken unless `finite`, one value, says that the losses were. Work-items of all: element.

// g = gradient + weight_decay * w; v = momentum * v + g; w -= learning_rate * v, or with nesterov
// w -= learning_rate * (g + momentum * v). All [count].
__kernel void sgd(
    __global float *parameters, uint parameters_at, __global const float *gradients, uint gradients_at,
    __global float *velocities, uint velocities_at, __global const float *rates, uint rates_at,
    __global const float *finite, uint finite_at, int count, float weight_decay, int nesterov) {
    const int i = get_global_id(0);
    if (i >= count || finite[finite_at] == 0.0f) {
        return;
    }
    const float learning_rate = rates[rates_at], momentum = rates[rates_at + 1];
    const float parameter = parameters[parameters_at + i];
    const float gradient = gradients[gradients_at + i] + weight_decay * parameter;
    const float velocity = momentum * velocities[velocities_at + i] + gradient;
    velocities[velocities_at + i] = velocity;
    const float direction = nesterov ? gradient + momentum * velocity : velocity;
    parameters[parameters_at + i] = parameter - learning_rate * direction;
}

// The learning rate is already divided by 1 - beta1^step; the correction of the root is sqrt(1 - beta2^step).
// AdamW has no weight_decay here, but begins with what its own leaves of the parameters. All [count].
__kernel void adam(
    __global float *parameters, uint parameters_at, __global const float *gradients, uint gradients_at,
    __global float *means, uint means_at, __global float *squares, uint squares_at,
    __global const float *rates, uint rates_at, __global const float *finite, uint finite_at,
    int count, float weight_decay, float beta2, float epsilon, int decays) {
    const int i = get_global_id(0);
    if (i >= count || finite[finite_at] == 0.0f) {
        return;
    }
    rates += rates_at;
    const float step_size = rates[0], beta1 = rates[1], root_correction = rates[2];
    const float parameter = parameters[parameters_at + i] * (decays ? rates[4] : 1.0f);
    const float gradient = gradients[gradients_at + i] + weight_decay * parameter;
    float mean = means[means_at + i];
    mean += (1.0f - beta1) * (gradient - mean);
    const float square = beta2 * squares[squares_at + i] + (1.0f - beta2) * gradient * gradient;
    means[means_at + i] = mean;
    squares[squares_at + i] = square;
    parameters[parameters_at + i] = parameter - step_size * (mean / (sqrt(square) / root_correction + epsilon));
}

// average = decay * average + (1 - decay) * value. A decay of 0 begins the average, whatever was there. All [count].
__kernel void moving_average(
    __global const float *values, uint values_at, __global float *averages, uint averages_at,
    __global const float *rates, uint rates_at, __global const float *finite, uint finite_at, int count) {
    const int i = get_global_id(0);
    if (i >= count || finite[finite_at] == 0.0f) {
        return;
    }
    const float decay = rates[rates_at + 3], value = values[values_at + i];
    averages[averages_at + i] =
        decay == 0.0f ? value : decay * averages[averages_at + i] + (1.0f - decay) * value;
}
