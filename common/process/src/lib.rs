//! Child processes that never outlive their parent, and what their exit means in words.
