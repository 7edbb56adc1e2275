//! The files under test, with loom's primitives.
#![allow(dead_code)] // each model uses a part

pub(crate) mod face;
#[path = "../../../../src/sync/base/first.rs"]
pub(crate) mod first;
#[path = "../../../../src/sync/base/in_line.rs"]
pub(crate) mod in_line;
#[path = "../../../../src/sync/base/list.rs"]
pub(crate) mod list;
#[path = "../../../../src/sync/base/lock.rs"]
pub(crate) mod lock;
pub(crate) mod names;
#[path = "../../../../src/sync/base/said.rs"]
pub(crate) mod said;
#[path = "../../../../src/sync/base/side.rs"]
pub(crate) mod side;
#[path = "../../../../src/sync/base/stock.rs"]
pub(crate) mod stock;
#[path = "../../../../src/sync/base/waiters.rs"]
pub(crate) mod waiters;
