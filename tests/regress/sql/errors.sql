-- Every error that a call can end in: its SQLSTATE, what it names, and what to do.
\set QUIET on
CREATE FUNCTION pg_temp.fails(statement text) RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'it does not fail', NULL, NULL, NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS
        code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END
$$;
\x on
\pset tuples_only on

-- Sources
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('const a = ;', '{"name": "x"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install(E'const a: number = 1\nexport const processEvent = (e) => /(/', '{"name": "x"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('import x from "lodash"; x()', '{"name": "x"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('const x = require("./other")', '{"name": "x"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('// nothing', '{"name": "x"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('await 1', '{"name": "x"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install(repeat('x', 2000000), '{"name": "x"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install(repeat('(', 100000), '{"name": "x"}')$$);

-- Manifests and names
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('x()', '[]')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('x()', '{}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('x()', '{"name": "☃"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('x()', '{}', 'Not A Slug')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('x()', '{"name": "x", "config": [{"key": "a", "type": "choice"}]}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install('x()', '{"name": "x", "config": {"a": {"type": "number"}}}')$$);

-- Archives, folders, the library
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install_archive('nonsense')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install_directory('/nowhere')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.install_bundled('nothing')$$);

-- What is not there
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.configure('nothing', '{}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.enable('nothing')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.disable('nothing')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.move('nothing', 1)$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.rollback('nothing')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.uninstall('nothing')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.set_attachment('nothing', 'a', 'b', 'c', 'd')$$);

-- Configurations
SELECT posthog_plugins.install('exports.processEvent = e => { throw new Error("no") }', '{"name": "Strict", "config": [
    {"key": "must", "type": "string", "required": true},
    {"key": "one", "type": "choice", "choices": ["a", "b"], "default": "a"},
    {"key": "text", "type": "json"}, {"key": "map", "type": "dictionary"},
    {"key": "file", "type": "attachment", "required": true}, {"key": "secret", "type": "string", "secret": true}]}');
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.configure('strict', '[]')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.configure('strict', '{}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.configure('strict', '{"must": 5}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.configure('strict', '{"must": "x", "one": "c"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.configure('strict', '{"must": "x", "text": "{"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.configure('strict', '{"must": "x", "map": {"a": 1}}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.configure('strict', '{"must": "x", "file": "f"}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.configure('strict', '{"must": "x", "secret": 12345}')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.configure('strict', '{"must": "x"}', on_error => 'retry')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.disable('strict')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.enable('strict')$$);
SELECT posthog_plugins.configure('strict', '{"must": "x"}', on_error => 'raise') > 0;
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.enable('strict')$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.move('strict', 1)$$);
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.set_attachment('strict', 'must', 'f', 't', 'x')$$);
SELECT posthog_plugins.set_attachment('strict', 'file', 'f', 't', 'x');
SELECT posthog_plugins.enable('strict');
SELECT * FROM pg_temp.fails($$SELECT posthog_plugins.move('strict', 0)$$);

-- Events
SELECT * FROM pg_temp.fails($$SELECT process_event('{}')$$);
SELECT * FROM pg_temp.fails($$SELECT process_event('"text"')$$);
SELECT * FROM pg_temp.fails($$SET posthog_plugins.nonsense = 1$$);
SELECT * FROM pg_temp.fails($$SET posthog_plugins.memory_limit = '1kB'$$);

SELECT posthog_plugins.uninstall('strict');
