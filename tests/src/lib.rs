//! What the whole-path tests share.
