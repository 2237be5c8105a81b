-- Events on their way to plugins that take them after they are stored.
-- API: private, but for the functions; the views are in queue_views.sql.

-- Sessions append to one of the two, and consumers read both. The other one is emptied by TRUNCATE when
-- nobody needs what is in it any more, and then they change places: no row is ever updated or
-- deleted, so there is nothing to vacuum. Events that a transaction stores one after the other are one
-- row, compressed as a whole, for which PostgreSQL's own compression is too slow; with a dictionary, so that
-- a single event takes little room, too.
DO $$
DECLARE
    half text;
BEGIN
    FOREACH half IN ARRAY ARRAY['event_queue_0', 'event_queue_1'] LOOP
        EXECUTE pg_catalog.format(
            'CREATE TABLE posthog_plugins.%I (
                 xid         xid8        NOT NULL,
                 enqueued_at timestamptz NOT NULL,
                 number      bigint      NOT NULL,
                 team_id     integer,
                 hops        smallint    NOT NULL,
                 events      integer     NOT NULL,
                 bundle      bytea       NOT NULL
             ) WITH (toast_tuple_target = 8160, autovacuum_enabled = off, toast.autovacuum_enabled = off)',
            half);
        EXECUTE pg_catalog.format(
            'ALTER TABLE posthog_plugins.%I ALTER COLUMN bundle SET STORAGE EXTERNAL', half);
        EXECUTE pg_catalog.format(
            'CREATE INDEX %I ON posthog_plugins.%I (xid, number)', half || '_by_place', half);
        EXECUTE pg_catalog.format(
            'COMMENT ON TABLE posthog_plugins.%I IS %L', half,
            'Stored events that consumers have yet to get, or have got lately');
        EXECUTE pg_catalog.format(
            'COMMENT ON COLUMN posthog_plugins.%I.xid IS %L', half, 'The transaction that stored the events');
        EXECUTE pg_catalog.format(
            'COMMENT ON COLUMN posthog_plugins.%I.number IS %L', half, 'Of the last event of the row among those of the transaction');
        EXECUTE pg_catalog.format(
            'COMMENT ON COLUMN posthog_plugins.%I.enqueued_at IS %L', half, 'When its last event was enqueued');
        EXECUTE pg_catalog.format(
            'COMMENT ON COLUMN posthog_plugins.%I.hops IS %L', half, 'How many captures by plugins have led to its events');
        EXECUTE pg_catalog.format(
            'COMMENT ON COLUMN posthog_plugins.%I.events IS %L', half, 'How many it has');
        EXECUTE pg_catalog.format(
            'COMMENT ON COLUMN posthog_plugins.%I.bundle IS %L', half, 'The events, for _unbundled');
    END LOOP;
END
$$;

CREATE TABLE posthog_plugins.queue_state (
    is_the_only_row boolean  PRIMARY KEY DEFAULT true,
    half            smallint NOT NULL DEFAULT 0,
    dictionary      integer,
    CONSTRAINT queue_state_has_one_row CHECK (is_the_only_row),
    CONSTRAINT queue_state_half_is_one_of_two CHECK (half IN (0, 1))
);
INSERT INTO posthog_plugins.queue_state DEFAULT VALUES;
COMMENT ON TABLE posthog_plugins.queue_state IS 'What sessions that enqueue have to know; they are told when it changes';
COMMENT ON COLUMN posthog_plugins.queue_state.half IS 'Which of the two tables events go to';
COMMENT ON COLUMN posthog_plugins.queue_state.dictionary IS 'With which dictionary they are compressed; NULL: with none';

CREATE TRIGGER queue_state_changed AFTER UPDATE ON posthog_plugins.queue_state
    FOR EACH STATEMENT EXECUTE FUNCTION posthog_plugins._chain_changed();
-- Also in sessions that fire no triggers, as replication has it.
ALTER TABLE posthog_plugins.queue_state ENABLE ALWAYS TRIGGER queue_state_changed;

-- They go with the rows that refer to them, and until then never change.
CREATE TABLE posthog_plugins.queue_dictionary (
    id    integer  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    half  smallint NOT NULL,
    size  bigint   NOT NULL,
    bytes bytea    NOT NULL
);
COMMENT ON TABLE posthog_plugins.queue_dictionary IS 'Some events of before, which those in the queue are like';
COMMENT ON COLUMN posthog_plugins.queue_dictionary.half IS 'The table of the queue whose rows need it';
COMMENT ON COLUMN posthog_plugins.queue_dictionary.size IS 'How large that was when the dictionary was made; one that has grown much gets another';

-- Room for the new versions of a row on its page: it changes with every batch.
CREATE TABLE posthog_plugins.queue_consumer (
    config_id    integer          PRIMARY KEY,
    since        pg_snapshot      NOT NULL,
    batch        pg_snapshot,
    batch_xid    xid8,
    batch_number bigint,
    starts_at    timestamptz,
    began_at     timestamptz      NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    recorded_at  timestamptz,
    delivered    bigint           NOT NULL DEFAULT 0,
    failed       bigint           NOT NULL DEFAULT 0,
    rate         double precision NOT NULL DEFAULT 0,
    latencies    double precision[] NOT NULL DEFAULT '{}',
    CONSTRAINT queue_consumer_place_is_in_a_batch
        CHECK (batch IS NOT NULL OR batch_xid IS NULL AND batch_number IS NULL),
    CONSTRAINT queue_consumer_place_is_whole
        CHECK ((batch_xid IS NULL) = (batch_number IS NULL))
) WITH (fillfactor = 20);
COMMENT ON TABLE posthog_plugins.queue_consumer IS 'Enabled configs that take events after they are stored, and how far they have got';
COMMENT ON COLUMN posthog_plugins.queue_consumer.since IS 'Events of transactions that it sees are done';
COMMENT ON COLUMN posthog_plugins.queue_consumer.batch IS 'What it sees more is being done, up to the place that follows';
COMMENT ON COLUMN posthog_plugins.queue_consumer.began_at IS 'When it was put where it began; what was read before is not recorded after';
COMMENT ON COLUMN posthog_plugins.queue_consumer.starts_at IS 'Events that were enqueued before are none of its';
COMMENT ON COLUMN posthog_plugins.queue_consumer.rate IS 'Events a second when it was recorded, as an average over about a minute';
COMMENT ON COLUMN posthog_plugins.queue_consumer.latencies IS 'How many deliveries of the last ten minutes or so came how long after they were enqueued, for _latency';

CREATE TABLE posthog_plugins.undelivered_event (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    config_id       integer     NOT NULL,
    next_attempt_at timestamptz,
    attempts        integer     NOT NULL,
    first_failed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    failed_at       timestamptz NOT NULL DEFAULT pg_catalog.now(),
    error           text        NOT NULL,
    enqueued_at     timestamptz NOT NULL,
    event           jsonb       NOT NULL,
    distinct_id     text,
    hops            smallint    NOT NULL DEFAULT 0
);
CREATE INDEX undelivered_event_by_config ON posthog_plugins.undelivered_event (config_id, next_attempt_at);
CREATE INDEX undelivered_event_by_age
    ON posthog_plugins.undelivered_event (failed_at) WHERE next_attempt_at IS NULL;
CREATE INDEX undelivered_event_in_order
    ON posthog_plugins.undelivered_event (config_id, distinct_id, id)
    WHERE next_attempt_at IS NOT NULL AND distinct_id IS NOT NULL;
COMMENT ON TABLE posthog_plugins.undelivered_event IS 'Events that a consumer failed on';
COMMENT ON COLUMN posthog_plugins.undelivered_event.next_attempt_at IS 'NULL: a dead letter, which is tried no more';
COMMENT ON COLUMN posthog_plugins.undelivered_event.distinct_id IS 'Set for consumers that get events in order: it is tried after those with the same one and a lower id';

CREATE TABLE posthog_plugins.consumer_filter (
    config_id integer PRIMARY KEY,
    filter    jsonb   NOT NULL,
    role      regrole
);
COMMENT ON TABLE posthog_plugins.consumer_filter IS 'Which events a consumer wants';
COMMENT ON COLUMN posthog_plugins.consumer_filter.role IS 'Whose rights the condition in SQL has: those of the role that set it';

-- What is on its way is not in a dump: whoever restores a copy is not to deliver it a second time.
SELECT pg_catalog.pg_extension_config_dump('posthog_plugins.consumer_filter', '');

CREATE FUNCTION posthog_plugins.enqueue_rows() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'enqueue_rows';
COMMENT ON FUNCTION posthog_plugins.enqueue_rows() IS
    'Enqueues the rows that were inserted for the plugins that take stored events; its argument is that of process_row';
