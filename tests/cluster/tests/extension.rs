//! Creating and dropping the extension.

use cluster::Cluster;

#[test]
fn two_databases_have_the_extension_at_once_without_any_preloading() {
    let cluster = Cluster::start();
    let mut one = cluster.create_database("one");
    let mut other = cluster.create_database("other");
    for client in [&mut one, &mut other] {
        let row = client
            .query_one("SELECT count(*) FROM pg_extension WHERE extname = 'posthog_plugins'", &[])
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), 1);
    }
    let preloaded = one.query_one("SHOW shared_preload_libraries", &[]).unwrap();
    assert_eq!(preloaded.get::<_, String>(0), "");
}

#[test]
fn a_dropped_extension_leaves_nothing_and_can_be_created_again() {
    const OBJECTS: &str = "
        SELECT (SELECT count(*) FROM pg_proc) + (SELECT count(*) FROM pg_class)
             + (SELECT count(*) FROM pg_type) + (SELECT count(*) FROM pg_namespace)";

    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres");
    let mut objects = || client.query_one(OBJECTS, &[]).unwrap().get::<_, i64>(0);
    let before = objects();
    for _ in 0..2 {
        let mut other = cluster.connect("postgres");
        other.batch_execute("CREATE EXTENSION posthog_plugins").unwrap();
        other.batch_execute("DROP EXTENSION posthog_plugins").unwrap();
        assert_eq!(objects(), before);
    }
}
