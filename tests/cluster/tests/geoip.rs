//! `meta.geoip`: a file of the administrator's, whatever becomes of it meanwhile.

use std::fs;
use std::path::{Path, PathBuf};

use cluster::mmdb::database;
use cluster::{Cluster, Session};
use postgres::Client;
use serde_json::json;

const LOCATE: &str = "
    export async function processEvent(event, { geoip }) {
        event.found = await geoip.locate(event.ip).catch((error) => `${error.code} ${error.message}`)
        return event
    }";

/// What is found about an address, as jsonb.
fn locate(client: &mut Client, address: &str) -> String {
    let sql = "SELECT (process_event(jsonb_build_object('ip', $1::text)) -> 'found')::text";
    client.query_one(sql, &[&address]).unwrap().get(0)
}

/// A directory that the server can read, with a database of one city.
fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("geoip-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn city(name: &str) -> Vec<u8> {
    database(&[(
        [81, 2, 69, 0],
        24,
        json!({
            "city": {"geoname_id": 2_643_743, "names": {"en": name, "pt-BR": "Londres"}},
            "country": {"iso_code": "GB", "is_in_european_union": false},
            "location": {"accuracy_radius": 100, "latitude": 51.5, "time_zone": "Europe/London"},
            "subdivisions": [{"iso_code": "ENG"}],
        }),
    )])
}

fn use_file(client: &mut Client, file: &Path) {
    client.run(&format!("SET posthog_plugins.geoip_database = '{}'", file.display()));
}

#[test]
fn an_address_is_located_in_posthogs_shape() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("shape");
    client.add_plugin("locate", LOCATE);
    assert!(locate(&mut client, "81.2.69.1").starts_with("\"55000 "));
    let file = directory("shape").join("city.mmdb");
    fs::write(&file, city("London")).unwrap();
    use_file(&mut client, &file);
    assert_eq!(
        locate(&mut client, "81.2.69.1"),
        r#"{"city": {"names": {"en": "London", "pt-BR": "Londres"}, "geonameId": 2643743}, "traits": {"network": "81.2.69.0/24", "ipAddress": "81.2.69.1"}, "country": {"isoCode": "GB", "isInEuropeanUnion": false}, "location": {"latitude": 51.5, "timeZone": "Europe/London", "accuracyRadius": 100}, "subdivisions": [{"isoCode": "ENG"}]}"#
    );
    for unknown in ["81.2.70.1", "::1", "garbage", ""] {
        assert_eq!(locate(&mut client, unknown), "null", "{unknown}");
    }
}

#[test]
fn a_flat_record_gets_the_same_shape() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("flat");
    client.add_plugin("locate", LOCATE);
    let file = directory("flat").join("city.mmdb");
    let record =
        json!({"city": "London", "country_code": "GB", "latitude": "51.5", "state1": "England"});
    fs::write(&file, database(&[([81, 2, 69, 0], 24, record)])).unwrap();
    use_file(&mut client, &file);
    let found = locate(&mut client, "81.2.69.1");
    for part in [r#""names": {"en": "London"}"#, r#""isoCode": "GB""#, r#""latitude": 51.5"#] {
        assert!(found.contains(part), "{found}");
    }
}

#[test]
fn a_file_that_is_replaced_cut_or_broken_harms_no_session() {
    let cluster = Cluster::start();
    let mut client = cluster.create_database("replaced");
    client.add_plugin("locate", LOCATE);
    let pid = client.pid();
    let file = directory("replaced").join("city.mmdb");
    fs::write(&file, city("London")).unwrap();
    use_file(&mut client, &file);
    assert!(locate(&mut client, "81.2.69.1").contains("London"));
    // Cut while it is open: the copy is not.
    fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
    assert!(locate(&mut client, "81.2.69.1").contains("London"));
    client.run("SELECT pg_sleep(1.1)");
    assert!(locate(&mut client, "81.2.69.1").starts_with("\"58030 "));
    let whole = city("Paris");
    for length in [10, whole.len() / 2, whole.len() - 5] {
        fs::write(&file, &whole[..length]).unwrap();
        client.run("SELECT pg_sleep(1.1)");
        assert!(locate(&mut client, "81.2.69.1").starts_with("\"58030 "), "{length}");
    }
    fs::write(file.with_extension("new"), &whole).unwrap();
    fs::rename(file.with_extension("new"), &file).unwrap();
    client.run("SELECT pg_sleep(1.1)");
    assert!(locate(&mut client, "81.2.69.1").contains("Paris"));
    fs::remove_file(&file).unwrap();
    client.run("SELECT pg_sleep(1.1)");
    assert!(locate(&mut client, "81.2.69.1").starts_with("\"58030 "));
    assert_eq!(client.pid(), pid);
}
