//! What every driver promises: the same suite on each.
//!
//! Each kind of event has a module of its own. At its head is its row of the table ([`row::Row`]): how a request of it is made that
//! completes, fails, is cancelled, races with a cancel, is in flight at a shutdown, and what is wrong about others. `table.rs` runs the rows
//! on each driver; below each row there are tests of what is particular to the kind. What belongs to no kind stands in the other modules.
//!
//! A new kind: its module, and one line in the list here.

#[path = "../common/mod.rs"]
mod common;

mod accept;
mod cancel;
mod connect;
mod errors;
mod getting;
mod handlers;
mod native;
mod notification;
mod observed;
mod planted;
mod posting;
mod read_at;
mod read_direct;
mod readiness;
mod recv;
mod recv_from;
mod row;
mod send;
mod send_to;
mod shown;
mod shutdown;
mod table;
mod timer;
mod word;
mod work;
mod world;

use ec_channel::EventKind;
use ec_unkind as _;
use row::Row;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

macro_rules! rows {
    ($($kind:ident,)*) => {
        static ROWS: &[&Row] = &[$(&$kind::ROW,)*];

        mod each_driver_keeps_the_row_of {
            $(
                #[test]
                fn $kind() {
                    ec_test_support::limit(120, || crate::table::holds(&crate::$kind::ROW));
                }
            )*
        }
    };
}

rows! {
    accept,
    connect,
    recv,
    send,
    recv_from,
    send_to,
    readiness,
    timer,
    notification,
    read_at,
    read_direct,
    work,
    word,
}

#[test]
fn each_kind_has_its_row() {
    for kind in EventKind::ALL {
        let rows = ROWS.iter().filter(|row| row.kind == *kind).count();
        assert_eq!(rows, 1, "rows of {kind} in the table");
    }
    assert_eq!(ROWS.len(), EventKind::ALL.len());
}
