//! The program `kinglet` as people and other programs start it.

mod bench;
mod json;
mod readme;
