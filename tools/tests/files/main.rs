//! What other frameworks compute against what kinglet does: layers and training of PyTorch's, files of its, ONNX's and
//! TensorFlow Lite's.

#[path = "../../examples/conformance/case.rs"]
mod case;
mod constant;
mod layers;
mod onnx;
mod onnx_int8;
mod pytorch;
mod read_again;
mod tflite;
#[cfg(feature = "verify")]
mod verify;
mod weights;
