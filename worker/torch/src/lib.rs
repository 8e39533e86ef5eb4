//! What tch lacks of libtorch, behind a safe face: gradient hooks, flat buffers, fused updates.
