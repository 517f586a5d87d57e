//! The operations: one file for each family, all of them methods of [`Recording`](super::Recording).
