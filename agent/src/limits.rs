//! Every queue, wait and retry of the agent, with its reason and what happens when full.
