//! The flk data plane: the path of a record, stage by stage, in the order a record meets them.
