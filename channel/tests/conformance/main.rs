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
mod advise;
mod allocate;
mod cancel;
mod child_exit;
mod close;
mod connect;
mod errors;
mod fdatasync;
mod fsync;
mod get_xattr;
mod getting;
mod handlers;
mod kinds;
mod link;
mod list_xattr;
mod mkdir;
mod named;
mod native;
mod notification;
mod observed;
mod open;
mod piped;
mod planted;
mod posting;
mod pump;
mod read;
mod read_at;
mod read_at_vectored;
mod read_direct;
mod read_link;
mod readiness;
mod recv;
mod recv_from;
mod recv_msg;
mod recv_pooled;
mod recv_vectored;
mod remove_xattr;
mod rename;
mod rmdir;
mod row;
mod send;
mod send_msg;
mod send_to;
mod send_vectored;
mod send_zero_copy;
mod set_xattr;
mod shown;
mod shutdown;
mod signal;
mod socket_shutdown;
mod splice;
mod stat;
mod symlink;
mod table;
mod tee;
mod timer;
mod truncate;
mod unlink;
mod wall_clock;
mod watch;
mod word;
mod work;
mod world;
mod write;
mod write_at;
mod write_at_vectored;
mod write_direct;

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
    recv_vectored,
    send_vectored,
    recv_msg,
    send_msg,
    recv_pooled,
    send_zero_copy,
    socket_shutdown,
    readiness,
    timer,
    wall_clock,
    watch,
    child_exit,
    signal,
    notification,
    read,
    write,
    read_at,
    write_at,
    read_at_vectored,
    write_at_vectored,
    fsync,
    fdatasync,
    allocate,
    truncate,
    advise,
    close,
    read_direct,
    write_direct,
    work,
    open,
    stat,
    rename,
    link,
    symlink,
    unlink,
    mkdir,
    rmdir,
    read_link,
    get_xattr,
    list_xattr,
    set_xattr,
    remove_xattr,
    splice,
    tee,
    pump,
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
