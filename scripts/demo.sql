-- What `make demo` plays, and prints as it goes: plugins are installed, events go through them.
\pset footer off
\pset format wrapped
\pset columns 100
\pset null '(discarded)'
SET client_min_messages = warning;
\set ECHO queries

\echo '\n== The extension ==\n'
CREATE EXTENSION posthog_plugins;

\o /dev/null
\echo '\n== Three plugins from the library ==\n'
SELECT posthog_plugins.install_bundled('drop-events');
SELECT posthog_plugins.configure('drop-events', '{"events": "debug_*"}');
SELECT posthog_plugins.install_bundled('property-filter');
SELECT posthog_plugins.configure('property-filter', '{"properties": "$ip, email"}');
SELECT posthog_plugins.install_bundled('hello-world');
SELECT posthog_plugins.configure('hello-world', '{"name": "Postgres"}');

\echo '\n== One of your own ==\n'
SELECT posthog_plugins.install($plugin$
    export function processEvent(event: PluginEvent) {
        const price: unknown = event.properties?.price
        if (typeof price === 'number') {
            event.properties.cents = Math.round(price * 100)
            console.log(`${event.event}: ${price} is ${event.properties.cents} cents`)
        }
        return event
    }
$plugin$, '{"name": "Price in cents", "main": "index.ts"}');

\echo '\n== The chain that an event goes through ==\n'
SELECT posthog_plugins.enable('drop-events');
SELECT posthog_plugins.enable('property-filter');
SELECT posthog_plugins.enable('hello-world');
SELECT posthog_plugins.enable('price-in-cents');
\o
SELECT position, plugin, config FROM posthog_plugins.chain;

\echo '\n== Events, before and after ==\n'
CREATE TABLE example (id int GENERATED ALWAYS AS IDENTITY, before jsonb);
INSERT INTO example (before) VALUES
    ('{"event": "$pageview", "distinct_id": "ada", "properties": {"$ip": "10.0.0.1"}}'),
    ('{"event": "purchase", "distinct_id": "ada", "properties": {"email": "a@b.c", "price": 12.3}}'),
    ('{"event": "debug_render", "distinct_id": "ada", "properties": {"ms": 16}}');
SELECT before ->> 'event' AS event,
       before -> 'properties' AS before,
       process_event(before) -> 'properties' AS after
  FROM example
 ORDER BY id;

\echo '\n== What the plugins wrote to their console ==\n'
SELECT plugin, level, message FROM posthog_plugins.logs;
