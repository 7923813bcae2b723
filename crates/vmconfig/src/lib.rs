//! What a Hyper-V virtual machine is, as plain data, and where its files lie.
