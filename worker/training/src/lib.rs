//! Models, optimizer, evaluation and the training step.
