//! Tests only: what has to fit the default stack of a task.
