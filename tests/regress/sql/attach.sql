-- Attaching tables: what it makes, and every error on the way of a row.
\set QUIET on
CREATE TABLE events (id int, event text, n int, twice int GENERATED ALWAYS AS (n * 2) STORED, properties jsonb, at date);
SELECT posthog_plugins.attach('events', 'properties');
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'events'::regclass;
SELECT posthog_plugins.attach('events');
SELECT posthog_plugins.detach('events');
SELECT posthog_plugins.detach('events');
SELECT posthog_plugins.attach('events');
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'events'::regclass;
SELECT posthog_plugins.detach('events');

-- What cannot be attached
CREATE VIEW seen AS SELECT * FROM events;
SELECT posthog_plugins.attach('seen');
SELECT posthog_plugins.attach(1);
SELECT posthog_plugins.attach(NULL);
SELECT posthog_plugins.attach('events', 'nothing');
SELECT posthog_plugins.attach('events', 'event');

-- Values that do not fit
SELECT posthog_plugins.install(
    'export function processEvent(event) { Object.assign(event, event.properties); return event }', '{"name": "Assign"}');
SELECT posthog_plugins.enable('assign');
SELECT posthog_plugins.attach('events');
INSERT INTO events (properties) VALUES ('{"n": "many"}');
INSERT INTO events (properties) VALUES ('{"at": "2024-02-30"}');
INSERT INTO events (properties) VALUES ('{"n": 5, "twice": 7, "other": true}') RETURNING n, twice;
SELECT plugin, source, level, message FROM posthog_plugins.logs;
SELECT posthog_plugins.detach('events');

-- Partitions
CREATE TABLE parted (LIKE events) PARTITION BY LIST (n);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
SELECT posthog_plugins.attach('parted');
SELECT posthog_plugins.attach('parted_1');
SELECT posthog_plugins.detach('parted_1');
INSERT INTO parted (n, properties) VALUES (1, '{"n": 2}');

-- Triggers written by hand
CREATE TRIGGER after_each AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION posthog_plugins.process_row();
INSERT INTO events DEFAULT VALUES;
DROP TRIGGER after_each ON events;
CREATE TRIGGER two BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION posthog_plugins.process_row('a', 'b');
INSERT INTO events DEFAULT VALUES;
DROP TRIGGER two ON events;
CREATE TRIGGER gone BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION posthog_plugins.process_row('gone');
INSERT INTO events DEFAULT VALUES;
DROP TRIGGER gone ON events;
ALTER TABLE events ADD context jsonb;
CREATE TRIGGER other BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.context IS NOT NULL)
    EXECUTE FUNCTION posthog_plugins.process_row('properties');
INSERT INTO events (context) VALUES ('{}');

SELECT posthog_plugins.uninstall('assign');
DROP TABLE events, parted CASCADE;
