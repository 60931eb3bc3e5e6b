//! The data plane: gateways, shards, workers, payments.
