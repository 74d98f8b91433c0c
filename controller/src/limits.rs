//! Every queue, wait and retry of the controller, with its reason and what happens when full.
