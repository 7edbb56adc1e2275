//! Which requests of a port lack something: see `flight/lacking.rs`.

use crate::operation::Supplied;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Those of a port, by what they lack, each in the order of their coming.
#[derive(Default)]
pub(super) struct Lacking {
    pub(super) requests: BTreeMap<usize, VecDeque<u64>>,
    /// Who is told.
    pub(super) port: Option<Arc<dyn Supplied>>,
}
