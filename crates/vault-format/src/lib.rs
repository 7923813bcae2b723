//! Every byte a vault stores, and nothing that does I/O.
