-- Who said what: per control, scope and kind, the calls behind the facts that its findings show, as one JSON list.
-- `shown` lists the facts of each control with the record's field behind each; a null field is the register's own.
CREATE OR REPLACE TABLE sources AS
WITH places AS (SELECT DISTINCT control, provider, scope, kind FROM failing),
latest AS (
    SELECT provider, scope, kind, field, arg_max(call, "at") AS call, max("at") AS told_at FROM provenance GROUP BY provider, scope, kind, field
),
told AS (
    SELECT s.control, p.provider, p.scope, p.kind, s.fact,
           CASE WHEN s.field IS NULL THEN 'register' ELSE coalesce(exact.call, alike.call, rest.call) END AS call,
           CASE WHEN s.field IS NULL THEN (SELECT as_of FROM run) ELSE coalesce(exact.told_at, alike.told_at, rest.told_at) END AS told_at
    FROM shown s JOIN places p USING (control)
    LEFT JOIN latest exact ON exact.provider = p.provider AND exact.scope = p.scope AND exact.kind = p.kind AND exact.field = s.field
    -- identities call it last_active_at, credentials last_used_at; the facts have one name for both
    LEFT JOIN latest alike ON alike.provider = p.provider AND alike.scope = p.scope AND alike.kind = p.kind
          AND alike.field = CASE WHEN s.field IN ('last_used_at', 'last_used_state') THEN 'last_active_at' END
    LEFT JOIN latest rest ON rest.provider = p.provider AND rest.scope = p.scope AND rest.kind = p.kind AND rest.field = '*'
)
SELECT control, provider, scope, kind,
       to_json(list({'fact': fact, 'call': call, 'at': strftime(told_at, '%Y-%m-%dT%H:%M:%SZ')} ORDER BY fact)) AS sources
FROM told WHERE call IS NOT NULL GROUP BY control, provider, scope, kind
