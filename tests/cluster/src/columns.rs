//! A table with columns of all kinds of types.

use postgres::Client;

use crate::Session;

/// Columns of many types, and an expression for a random value of each.
pub const COLUMNS: [(&str, &str); 36] = [
    ("u uuid", "gen_random_uuid()"),
    ("t text", "repeat(chr(32 + (random() * 5000)::int), (random() * 300)::int) || '\"\\\n☃'"),
    ("v varchar(20)", "left(md5(random()::text), (random() * 20)::int)"),
    ("c char(8)", "left(md5(random()::text), (random() * 8)::int)"),
    ("nam name", "left(md5(random()::text), 10)"),
    ("i2 smallint", "(random() * 65535 - 32768)::int"),
    ("i4 int", "(random() * 4294967295 - 2147483648)::bigint"),
    ("i8 bigint", "((random() - 0.5) * 18014398509481984)::bigint"),
    ("n numeric", "round(((random() - 0.5) * 1000000)::numeric, (random() * 6)::int)"),
    ("n2 numeric(12, 2)", "((random() - 0.5) * 1000000)::numeric(12, 2)"),
    ("f4 real", "((random() - 0.5) * 10 ^ (random() * 40 - 20))::real"),
    ("f8 double precision", "(random() - 0.5) * 10 ^ (random() * 200 - 100)"),
    ("b bool", "random() < 0.5"),
    ("tz timestamptz", "timestamptz '1900-01-01' + random() * interval '300 years'"),
    ("ts timestamp", "timestamp '1900-01-01' + random() * interval '300 years'"),
    ("d date", "date '1900-01-01' + (random() * 100000)::int"),
    ("ti time", "time '00:00' + random() * interval '1 day'"),
    ("tiz timetz", "timetz '00:00+02' + random() * interval '1 day'"),
    ("iv interval", "random() * interval '3 years 4 days'"),
    ("ip inet", "inet '10.0.0.0' + (random() * 16777215)::int"),
    ("ci cidr", "set_masklen((inet '10.0.0.0' + 256 * (random() * 65535)::int), 24)::cidr"),
    ("mac macaddr", "'08:00:2b:01:02:03'::macaddr"),
    ("by bytea", "decode(md5(random()::text), 'hex')"),
    ("bi bit(4)", "(random() * 15)::int::bit(4)"),
    (
        "j jsonb",
        "jsonb_build_object('a', (random() * 100)::int, 'b', ARRAY[md5(random()::text), NULL], 'c', '{}'::jsonb)",
    ),
    ("js json", "format('{\"b\" : [%s, \"x\"], \"a\":null}', (random() * 100)::int)::json"),
    ("ja jsonb[]", "ARRAY[to_jsonb((random() * 100)::int), '{\"a\": [1]}', NULL]"),
    ("ia int[]", "ARRAY[(random() * 100)::int, NULL, -5]"),
    ("i2d int[]", "ARRAY[ARRAY[1, (random() * 100)::int], ARRAY[3, 4]]"),
    ("ta text[]", "ARRAY[md5(random()::text), '{\"', 'a,b', '']"),
    ("m mood", "(enum_range(NULL::mood))[1 + (random() * 2)::int]"),
    ("ma mood[]", "enum_range(NULL::mood)"),
    ("po positive", "1 + (random() * 100)::int"),
    ("pl positives", "ARRAY[1, (random() * 100)::int]"),
    ("co pair", "ROW((random() * 100)::int, ROW(md5(random()::text), now()))::pair"),
    ("ra int4range", "int4range((random() * 100)::int, 200)"),
];

/// The table `filled` with these columns and one that is gone, in a session with a time zone of its own.
pub fn fill(client: &mut Client) {
    client.run(
        "CREATE TYPE mood AS ENUM ('sad', 'so so', 'happy');
         CREATE DOMAIN positive AS int NOT NULL CHECK (VALUE > 0);
         CREATE DOMAIN positives AS int[] CHECK (array_length(VALUE, 1) > 0);
         CREATE TYPE inner_pair AS (a text, b timestamptz);
         CREATE TYPE pair AS (a int, b inner_pair)",
    );
    let columns: Vec<_> = COLUMNS.iter().map(|(column, _)| *column).collect();
    let columns = columns.join(", ");
    // Now and then a NULL; the domain po has none.
    let values: Vec<_> = COLUMNS
        .iter()
        .map(|(column, value)| {
            if column.starts_with("po ") {
                value.to_string()
            } else {
                format!("CASE WHEN random() < 0.9 THEN {value} END")
            }
        })
        .collect();
    client.run(&format!(
        "SELECT setseed(0.42); SET timezone = 'Asia/Kathmandu'; SET extra_float_digits = 3;
         CREATE TABLE filled (gone int, id int, {columns}); ALTER TABLE filled DROP COLUMN gone;
         INSERT INTO filled SELECT n, {} FROM generate_series(1, 300) AS n",
        values.join(", ")
    ));
}
