-- Everything that the catalogs say about the members of the extension, a line each, so that two
-- ways to the same version can be compared. Ids and the order of creation do not count; the order
-- of columns does, as `SELECT *` and COPY show it.

WITH extension AS (
    SELECT * FROM pg_extension WHERE extname = 'posthog_plugins'
), member AS (
    SELECT classid, objid, pg_describe_object(classid, objid, 0) AS name
      FROM pg_depend
     WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
       AND refobjid = (SELECT oid FROM extension)
), relation AS (
    SELECT c.*, m.name
      FROM pg_class AS c
      JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
), comment AS (
    SELECT m.name || COALESCE(' column ' || a.attname, '') AS name, d.description
      FROM member AS m
      JOIN pg_description AS d ON d.classoid = m.classid AND d.objoid = m.objid
      LEFT JOIN pg_attribute AS a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
                                 AND d.objsubid > 0 AND d.classoid = 'pg_class'::regclass
     UNION ALL
    SELECT r.name || ' constraint ' || c.conname, d.description
      FROM relation AS r
      JOIN pg_constraint AS c ON c.conrelid = r.oid
      JOIN pg_description AS d ON d.objoid = c.oid AND d.classoid = 'pg_constraint'::regclass
     UNION ALL
    SELECT r.name || ' trigger ' || t.tgname, d.description
      FROM relation AS r
      JOIN pg_trigger AS t ON t.tgrelid = r.oid
      JOIN pg_description AS d ON d.objoid = t.oid AND d.classoid = 'pg_trigger'::regclass
     UNION ALL
    SELECT r.name || ' index ' || i.indexrelid::regclass, d.description
      FROM relation AS r
      JOIN pg_index AS i ON i.indrelid = r.oid
      JOIN pg_description AS d ON d.objoid = i.indexrelid AND d.classoid = 'pg_class'::regclass
)
SELECT format('extension %s, schema %s', extversion, extnamespace::regnamespace)
  FROM extension
 UNION ALL
SELECT format('dumped: %s where "%s"', config.id::regclass, config.condition)
  FROM extension, unnest(extconfig, extcondition) AS config (id, condition)
 UNION ALL
SELECT 'member ' || name FROM member
 UNION ALL
SELECT format('comment on %s: %s', name, description) FROM comment
 UNION ALL
SELECT format('initial rights %s %s: %s', m.name, p.objsubid,
              ARRAY(SELECT unnest(p.initprivs)::text ORDER BY 1))
  FROM member AS m
  JOIN pg_init_privs AS p ON p.classoid = m.classid AND p.objoid = m.objid
 UNION ALL
SELECT format('schema %s: %s', nspname, ARRAY(SELECT unnest(COALESCE(nspacl, acldefault('n', nspowner)))::text ORDER BY 1))
  FROM pg_namespace AS n
  JOIN member AS m ON m.classid = 'pg_namespace'::regclass AND m.objid = n.oid
 UNION ALL
SELECT format('%s: kind %s, persistence %s, options %s, row security %s %s, replica identity %s, rights %s',
              name, relkind, relpersistence, reloptions, relrowsecurity, relforcerowsecurity,
              relreplident,
              ARRAY(SELECT unnest(COALESCE(relacl, acldefault(
                        CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner)))::text
                     ORDER BY 1))
  FROM relation
 UNION ALL
SELECT format('%s column %s %s %s: not null %s, default %s, identity %s, generated %s, storage %s %s, '
              'collation %s, statistics %s, options %s, rights %s',
              r.name, row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), a.attname,
              format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
              a.attidentity, a.attgenerated, a.attstorage, a.attcompression,
              a.attcollation::regcollation, NULLIF(a.attstattarget, -1),
              -- Where in the WAL the column was made: some minor versions note it here.
              ARRAY(SELECT unnest(a.attoptions) EXCEPT
                    SELECT o FROM unnest(a.attoptions) AS o WHERE o LIKE 'pg_attver=%' ORDER BY 1),
              ARRAY(SELECT unnest(a.attacl)::text ORDER BY 1))
  FROM relation AS r
  JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 UNION ALL
SELECT format('%s constraint %s: %s, valid %s',
              r.name, c.conname, pg_get_constraintdef(c.oid), c.convalidated)
  FROM relation AS r
  JOIN pg_constraint AS c ON c.conrelid = r.oid
 UNION ALL
SELECT format('%s index: %s, valid %s', r.name, pg_get_indexdef(i.indexrelid), i.indisvalid)
  FROM relation AS r
  JOIN pg_index AS i ON i.indrelid = r.oid
 UNION ALL
SELECT format('%s trigger: %s, enabled %s', r.name, pg_get_triggerdef(t.oid), t.tgenabled)
  FROM relation AS r
  JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
 UNION ALL
SELECT format('%s rule: %s, enabled %s', r.name, pg_get_ruledef(w.oid), w.ev_enabled)
  FROM relation AS r
  JOIN pg_rewrite AS w ON w.ev_class = r.oid
 UNION ALL
SELECT format('%s policy: %s', r.name, p.polname)
  FROM relation AS r
  JOIN pg_policy AS p ON p.polrelid = r.oid
 UNION ALL
SELECT format('%s: %s from %s by %s, %s to %s, cache %s, cycle %s, of %s', r.name,
              format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
              s.seqcache, s.seqcycle, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
  FROM relation AS r
  JOIN pg_sequence AS s ON s.seqrelid = r.oid
  LEFT JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid
                          AND d.deptype IN ('a', 'i')
 UNION ALL
SELECT format('%s: %s, rights %s, rows %s, cost %s', m.name,
              pg_get_functiondef(p.oid),
              ARRAY(SELECT unnest(COALESCE(p.proacl, acldefault('f', p.proowner)))::text ORDER BY 1),
              p.prorows, p.procost)
  FROM pg_proc AS p
  JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
 WHERE p.prokind <> 'a'
 ORDER BY 1
