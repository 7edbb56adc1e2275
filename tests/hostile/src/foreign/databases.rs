//! SQLite, as C libraries with callbacks are: statements stepped, functions called and locks held over suspensions.

use crate::check::Check;
use crate::support::{hop, many, tasks};
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::PathBuf;
use std::{env, fs, process};

pub const CHECKS: &[Check] = &[
    Check::new("statements_are_stepped_over_suspensions", statements_are_stepped_over_suspensions),
    Check::new("a_function_of_a_database_may_suspend", a_function_of_a_database_may_suspend),
    Check::new("transactions_on_one_file_exclude_each_other", transactions_on_one_file_exclude_each_other),
];

fn with_numbers(connection: &Connection, n: i64) {
    connection.execute_batch("CREATE TABLE numbers (n INTEGER); BEGIN").expect("a table");
    let mut insert = connection.prepare("INSERT INTO numbers VALUES (?1)").expect("a statement");
    for i in 0..n {
        insert.execute([i]).expect("a row");
        if i % 50 == 0 {
            hop();
        }
    }
    connection.execute_batch("COMMIT").expect("a commit");
}

fn statements_are_stepped_over_suspensions() {
    tasks(many(100), |i| {
        let n = 200 + i as i64;
        let connection = Connection::open_in_memory().expect("a database");
        with_numbers(&connection, n);
        let mut select = connection.prepare("SELECT n FROM numbers ORDER BY n DESC").expect("a statement");
        let mut rows = select.query([]).expect("rows");
        let mut expected = n;
        while let Some(row) = rows.next().expect("a row") {
            expected -= 1;
            assert_eq!(row.get::<_, i64>(0).expect("a number"), expected);
            if expected % 20 == 0 {
                hop();
            }
        }
        assert_eq!(expected, 0);
        // An error's text is the connection's.
        let wrong = connection.prepare("SELECT missing FROM numbers").expect_err("no such column");
        hop();
        assert!(wrong.to_string().contains("missing"));
    });
}

fn a_function_of_a_database_may_suspend() {
    tasks(many(100), |i| {
        // With its own mutex: a recursive one, which the connection holds while the function suspends.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_FULL_MUTEX;
        let connection = Connection::open_in_memory_with_flags(flags).expect("a database");
        with_numbers(&connection, 100);
        let add = i as i64;
        connection
            .create_scalar_function("hopping", 1, FunctionFlags::SQLITE_UTF8, move |context| {
                if context.get::<i64>(0)? % 10 == 0 {
                    hop();
                }
                Ok(context.get::<i64>(0)? + add)
            })
            .expect("a function");
        let sum: i64 =
            connection.query_row("SELECT sum(hopping(n)) FROM numbers", [], |row| row.get(0)).expect("a sum");
        assert_eq!(sum, 99 * 100 / 2 + 100 * add);
    });
}

/// A database that is removed in the end.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn transactions_on_one_file_exclude_each_other() {
    const TASKS: usize = 12;
    const TIMES: i64 = 5;
    let place = Place(env::temp_dir().join(format!("ec-hostile-database-{}", process::id())));
    fs::create_dir_all(&place.0).expect("a directory");
    let path = place.0.join("counter");
    let first = Connection::open(&path).expect("a database");
    first.execute_batch("CREATE TABLE counter (n INTEGER); INSERT INTO counter VALUES (0)").expect("a table");
    tasks(TASKS, move |_| {
        let mut connection = Connection::open(&path).expect("a database");
        connection
            .busy_handler(Some(|_| {
                hop();
                true
            }))
            .expect("a handler");
        connection.execute_batch("PRAGMA synchronous = OFF").expect("a pragma");
        for _ in 0..TIMES {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).expect("begun");
            let n: i64 =
                transaction.query_row("SELECT n FROM counter", [], |row| row.get(0)).expect("a number");
            hop();
            transaction.execute("UPDATE counter SET n = ?1", [n + 1]).expect("an update");
            hop();
            transaction.commit().expect("a commit");
            hop();
        }
    });
    let n: i64 = first.query_row("SELECT n FROM counter", [], |row| row.get(0)).expect("a number");
    assert_eq!(n, TASKS as i64 * TIMES, "transactions saw each other's halves");
    drop(first);
    drop(place);
}
