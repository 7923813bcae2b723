//! The verbs: backup and restore over sources, a vault and targets.
