//! One suite that every kernel set instantiates.
