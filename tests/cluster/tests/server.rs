//! The helper itself: what the other tests rely on.

use cluster::{Cluster, Shutdown, wait_until};

#[test]
fn what_was_committed_survives_both_kinds_of_restart() {
    let cluster = Cluster::start_with(&[("log_min_messages", "notice")]);
    cluster.connect("postgres").batch_execute("CREATE TABLE kept (n int)").unwrap();
    for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
        cluster.connect("postgres").batch_execute("INSERT INTO kept VALUES (1)").unwrap();
        cluster.restart(shutdown);
    }
    let kept = cluster.connect("postgres").query_one("SELECT count(*) FROM kept", &[]).unwrap();
    assert_eq!(kept.get::<_, i64>(0), 2);
    wait_until("the log tells of the recovery", || {
        cluster.log().contains("database system was not properly shut down")
    });
}

#[test]
fn psql_prints_results_and_messages_in_their_order() {
    let cluster = Cluster::start();
    let output = cluster.psql("postgres", "SELECT 1 AS a;\nSELECT 1 / 0;\n\\echo end\n");
    assert_eq!(output, " a \n---\n 1\n(1 row)\n\nERROR:  division by zero\nend\n");
}

#[test]
fn no_tcp_port_is_open() {
    let cluster = Cluster::start();
    let addresses = cluster.connect("postgres").query_one("SHOW listen_addresses", &[]).unwrap();
    assert_eq!(addresses.get::<_, String>(0), "");
}
